"""The executor where the plugin that it is made of is not installed, or is of another version: it says so if chosen."""

from typing import Any

from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor
from snakemake_interface_executor_plugins.settings import CommonSettings

common_settings = CommonSettings(non_local_exec=True, implies_no_shared_fs=False, job_deploy_sources=False)


class Executor(RemoteExecutor):
    """See the module."""

    def __new__(cls, *_: Any, **__: Any) -> "Executor":
        """Refuse.

        Raises
        ------
        WorkflowError
        """
        raise WorkflowError("executor plmscale-slurm: needs another version: pip install 'plmscale[workflow]'.")
