"""DeepSpeed's converter to universal checkpoints as a program, under torch's restricted unpickler."""

import pickle
import runpy
import sys

from ...model.pickles import restricted, why_refused
from .checkpoints import classes_in_checkpoints


def main() -> None:
    """Convert: the arguments are those of `deepspeed.checkpoint.ds_to_universal`."""
    try:
        with restricted(*classes_in_checkpoints()):
            runpy.run_module("deepspeed.checkpoint.ds_to_universal", run_name="__main__")
    except pickle.UnpicklingError as error:
        sys.exit(f"a file holds more than tensors and plain values ({why_refused(error)})")


if __name__ == "__main__":
    main()
