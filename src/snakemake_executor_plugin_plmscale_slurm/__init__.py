"""Snakemake's executor for SLURM, made for studies of weeks: `executor: plmscale-slurm` in a profile; see `executor`.

A package of this name, at the top of a wheel, is how Snakemake finds executors. It imports each that it finds at every
start, also in an environment that has plmscale without the extra `workflow`: there it must not fail.
"""

try:
    from .executor import Executor, ExecutorSettings, common_settings

    __all__ = ["Executor", "ExecutorSettings", "common_settings"]
except ImportError:
    from .missing import Executor, common_settings

    __all__ = ["Executor", "common_settings"]
