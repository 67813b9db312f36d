"""Snakemake as a child process: arguments in the order that it needs, checks before it starts, its exit status.

With `--quiet`, Snakemake reports neither a locked folder, nor invalid YAML, nor a target that it takes for the value of
an option; for a missing file it prints thirty lines. So these are checked here first.
"""

import argparse
import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager, nullcontext, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import IO

from ..cluster.profile import refuse_placeholders
from ..errors import InputError
from ..files import check_writable
from ..study.configuration import read_configuration
from ..study.study import load_study
from ..study.workflow_files import workflow_root
from .in_jobs.fork_server import fork_servers
from .workflow_options import study_files, words_apart

BEGIN = "Building DAG of jobs..."
"""What Snakemake says once it has read everything."""

COUNTS_ONLY = ("--quiet", "rules", "progress", "--logger", "plmscale")
"""Of a dry run: it ends once the jobs are known, and snakemake_logger_plugin_plmscale prints how many there are."""

LOCK = "study.lock"
"""In .snakemake/: held by every process of a study, also by one that outlives a kill; names who took it."""


def run_workflow(args: argparse.Namespace, targets: Sequence[str]) -> tuple[int, list[str]]:
    """Run Snakemake.

    Parameters
    ----------
    args : Namespace
        Of `plmscale run`.
    targets : sequence of str
        What is to be made.

    Returns
    -------
    int, list of str
        Its exit status, and the targets, those among the settings included.

    Raises
    ------
    InputError
        For a configuration that cannot be used, a folder that another study runs in or that cannot be written to,
        and where Snakemake is not installed.
    """
    if find_spec("snakemake") is None:
        raise InputError("plmscale run needs snakemake: pip install 'plmscale[workflow]'")
    root = workflow_root()
    settings, swallowed = words_apart(args)
    targets = [*targets, *swallowed]
    files = study_files(args, root)
    raw = read_configuration(files, settings, root=root)
    raw.pop("cell", None)  # names the cell of the target `cell`; no setting
    check_writable(args.directory / "results")
    args.directory.mkdir(parents=True, exist_ok=True)
    with chdir(args.directory):  # where relative paths of the configuration begin
        config = load_study(raw, base=root).config
    if args.profile and not args.dry_run:
        refuse_placeholders(_profile_folder(args.profile, root))
    command = command_line(args, targets, settings=settings, files=files, root=root)
    if args.dry_run:
        return _child(command, ()), targets
    began = time.time()
    with folder_lock(args.directory, unlock=args.unlock) as handle:
        keep = (handle.fileno(),)
        # On CPUs of this machine jobs are forks of processes that have imported what they need.
        is_here = not args.profile and config.hardware.device == "cpu"
        with fork_servers(engine=config.execution.engine, keep=keep) if is_here else nullcontext({}) as variables:
            status = _child(command, keep, variables)
    if status:
        print(f"error: Snakemake ended with status {status}.{_reason(args, command, began=began)}", file=sys.stderr)
    return status, targets


def command_line(
    args: argparse.Namespace, targets: Sequence[str], *, settings: Sequence[str], files: Sequence[Path], root: Path
) -> list[str]:
    """The arguments of Snakemake. Targets come first: after an option of several values they would count as values."""
    words = [sys.executable, "-m", "snakemake", *targets, "--snakefile", str(root / "Snakefile")]
    words += ["--directory", str(args.directory.absolute())]
    if files:
        words += ["--configfile", *(str(path.absolute()) for path in files)]
    if settings:
        words += ["--config", *settings]
    if args.profile:
        words += ["--profile", str(_profile_folder(args.profile, root))]
    if args.cores:
        words += ["--cores", args.cores]
    if args.dry_run:
        words += [*([] if args.verbose else COUNTS_ONLY), "--dry-run"]
    elif not args.verbose:
        words += ["--quiet", "all"]
    return [*words, *args.passed_on]


def _profile_folder(profile: str, root: Path) -> Path:
    """The folder of a profile: a person's own, or the workflow's."""
    own = root / profile
    return Path(profile) if Path(profile).is_dir() or not own.is_dir() else own


@contextmanager
def folder_lock(folder: Path, *, unlock: bool = False) -> Iterator[IO[str]]:
    """Hold the folder of a study, and clear the lock that a killed Snakemake left in it.

    All child processes inherit the lock of the file, so a job that survives its parent still holds it. The file names
    the holder and is emptied at the end. If it has text but no process holds it, the holder was killed, and Snakemake's
    own lock is stale.

    Parameters
    ----------
    folder : Path
    unlock : bool
        Remove Snakemake's lock even where its holder may still run: the user says that none does.

    Raises
    ------
    InputError
        If another process holds it, or Snakemake's lock is left and its holder may still run.
    """
    (folder / ".snakemake").mkdir(parents=True, exist_ok=True)
    with (folder / ".snakemake" / LOCK).open("a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError(f"a study runs in {folder.absolute()} already. Wait for it, or stop it.") from None
        handle.seek(0)
        was_killed = handle.read().strip() == _here()
        locks = folder / ".snakemake/locks"
        if locks.is_dir() and any(locks.iterdir()):
            if not (was_killed or unlock):
                raise InputError(
                    f"Snakemake has locked {folder.absolute()}: it runs there, or was killed. If none runs on any "
                    "machine, add --unlock."
                )
            for path in locks.iterdir():
                path.unlink()
        handle.truncate(0)
        handle.write(_here() + "\n")
        handle.flush()
        yield handle
        handle.truncate(0)


def _here() -> str:
    return f"plmscale run on {socket.gethostname()}"


def _child(command: Sequence[str], keep: tuple[int, ...], variables: Mapping[str, str] | None = None) -> int:
    """Run a command and return its exit status; signals to this process are passed on to it."""
    bin_folder = str(Path(sys.executable).parent)  # jobs start `python`, and it is this one
    env = os.environ | {"PATH": f"{bin_folder}{os.pathsep}{os.environ.get('PATH', os.defpath)}"} | dict(variables or {})
    with subprocess.Popen(command, env=env, pass_fds=keep) as child:

        def forward(signum: int, _: object) -> None:
            with suppress(ProcessLookupError):
                child.send_signal(signum)

        before = {number: signal.signal(number, forward) for number in (signal.SIGTERM, signal.SIGHUP)}
        before[signal.SIGINT] = signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to the child, too
        try:
            return child.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _reason(args: argparse.Namespace, command: Sequence[str], *, began: float) -> str:
    """Where the cause is: Snakemake's log, or the output of a dry run where Snakemake ended before it wrote one."""
    logs = [path for path in (args.directory / ".snakemake/log").glob("*.log") if path.stat().st_mtime >= began]
    if logs and logs[0].stat().st_size:
        return f" Its log: {max(logs)}"
    words = [word for word in command if word not in ("--quiet", "all")]
    tried = subprocess.run([*words, "--dry-run", "--nolock"], capture_output=True, text=True)
    said = [line for line in (tried.stderr + tried.stdout).splitlines() if line.strip()]
    if BEGIN in said:
        said = said[said.index(BEGIN) + 1 :]
    return "\n" + "\n".join(said[-10:]) if tried.returncode else ""
