"""DeepSpeed's converter to universal checkpoints as a program, under torch's restricted unpickler."""

import runpy

from ..model.pickles import restricted
from .deepspeed_checkpoints import classes_in_checkpoints


def main() -> None:
    """Convert: the arguments are those of `deepspeed.checkpoint.ds_to_universal`."""
    with restricted(*classes_in_checkpoints()):
        runpy.run_module("deepspeed.checkpoint.ds_to_universal", run_name="__main__")


if __name__ == "__main__":
    main()
