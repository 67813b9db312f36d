"""How a training job is started: on one device, on one node, on several; by hand, and by SLURM."""

from ..study.config import Execution, Hardware


def stoppable(warning_seconds: int) -> str:
    """What makes torchrun hand on the signals on which a run writes a checkpoint, and wait for it.

    torchrun itself would die of SIGUSR1, and kill its ranks 30 s after SIGTERM, which may be too soon for a checkpoint.
    """
    return f"--signals-to-handle=SIGTERM,SIGINT,SIGUSR1 --shutdown-timeout={max(10, warning_seconds - 10)}"


def dispatch(
    nodes: int, *, devices_per_node: int, hardware: Hardware, execution: Execution
) -> dict[str, str | int | None]:
    """The resources of a training job that say how it is started.

    Parameters
    ----------
    nodes, devices_per_node : int
    hardware : Hardware
    execution : Execution

    Returns
    -------
    dict
        `launcher`, the command that starts the ranks: `python`, or `torchrun` for those of one node. `step`, what
        starts the launcher on the nodes: `srun` on several. On one node nothing is needed; the profile for SLURM uses
        srun there too, since SLURM sends its signals to the processes that srun started, not to their children.
        `step_tasks`, the processes that `step` starts, and `cpus_per_task`, their cores. `mpi`: if it is set, even if
        empty, Snakemake's plugin knows that the command calls srun itself. `nodes`, `tasks` (ranks of a job of several
        nodes) and `slurm_extra`, further options of sbatch: devices per node, and the warning before the walltime. On
        the warning (SIGUSR1) a rank writes a checkpoint and leaves, and the next job goes on from there.

    Examples
    --------
    >>> two = dispatch(2, devices_per_node=8, hardware=Hardware(), execution=Execution())
    >>> two["step"], two["step_tasks"], two["launcher"], two["slurm_extra"]
    ('srun', 16, 'python', '--gpus-per-node=8 --ntasks-per-node=8 --signal=USR1@120')
    """
    ranks, several = nodes * devices_per_node, nodes > 1
    tasks = ranks if several else 1
    gpu = hardware.device == "gpu"
    launcher = "python"
    if devices_per_node > 1 and not several:
        launcher = f"torchrun --standalone --nproc-per-node={ranks} {stoppable(hardware.warning_seconds)}"
    devices = f"--gpus-per-node={devices_per_node} " if gpu else ""
    return {
        "launcher": launcher,
        "step": "srun" if several else "",
        "step_tasks": tasks,
        "cpus_per_task": (hardware.cpus_per_device if gpu else execution.threads) * ranks // tasks,
        "mpi": "srun" if several else "",
        "nodes": nodes,
        "tasks": ranks if several else None,
        "slurm_extra": f"{devices}--ntasks-per-node={tasks // nodes} --signal=USR1@{hardware.warning_seconds}",
    }
