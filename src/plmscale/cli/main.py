"""Choose a subcommand, read its arguments, run it, and say in one sentence what a person did wrong."""

import argparse
import difflib
import logging
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TypeVar

from ..errors import InputError
from ..extras import needed_by
from .commands import COMMANDS, WORKFLOW, module_of

PROGRAM = "plmscale"
T = TypeVar("T")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns
    -------
    int
        The exit status: 0, or what the subcommand says, such as 1 of `reproduce` where a number differs.

    Raises
    ------
    SystemExit
        With one sentence for what a person can put right; with 2 for a command line that cannot be read.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help", "help"):
        print(overview())
        return 0
    if words[0] in ("-V", "--version"):
        print(f"{PROGRAM} {version()}")
        return 0
    name = words[0]
    if name not in COMMANDS:
        raise _unknown(name)
    module = module_of(name)
    own, passed_on = words[1:], []
    if "--" in own and getattr(module, "PASSES_ON", False):
        own, passed_on = own[: own.index("--")], own[own.index("--") + 1 :]
    args = parser_of(name).parse_args(own)
    args.passed_on = passed_on
    command = COMMANDS[name]

    def call() -> int | None:
        with needed_by(f"{PROGRAM} {name}", extra=command.extra) if command.extra else nullcontext():
            return module.run(args)

    return guarded(call, in_job=command.group == WORKFLOW)


def parser_of(name: str) -> argparse.ArgumentParser:
    """The parser of a subcommand."""
    parser = argparse.ArgumentParser(prog=f"{PROGRAM} {name}", formatter_class=argparse.RawDescriptionHelpFormatter)
    return filled(parser, name)


def filled(parser: argparse.ArgumentParser, name: str) -> argparse.ArgumentParser:
    """A parser with the description and the arguments of a subcommand."""
    module = module_of(name)
    parser.description = module.DESCRIPTION
    module.arguments(parser)
    return parser


def overview() -> str:
    """`plmscale --help`: every subcommand in a line, by what a person wants."""
    lines = [f"usage: {PROGRAM} SUBCOMMAND [options]", ""]
    lines += ["Given a compute budget, how large a protein language model, on how many tokens?"]
    width = max(map(len, COMMANDS)) + 2
    for group in dict.fromkeys(command.group for command in COMMANDS.values()):
        lines += ["", f"{group}:"]
        lines += [f"  {name:{width}}{one.summary}" for name, one in COMMANDS.items() if one.group == group]
    lines += ["", f"`{PROGRAM} SUBCOMMAND --help` lists the options. `{PROGRAM} --version` prints the version."]
    return "\n".join(lines)


def version() -> str:
    """Version of the package."""
    from .. import __version__

    return __version__


def guarded(call: Callable[[], int | None], *, in_job: bool = False) -> int:
    """The exit status of a call; an exception becomes one sentence.

    The traceback of a fault of ours is kept in a file that the sentence names. In a job it goes where all else of the
    job goes, to its log: a node's temporary files are lost.
    """
    try:
        return call() or 0
    except InputError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # the reader, `head` for one, has gone: nothing is left to say, nor to flush
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # the last guard: a person reads a sentence, and the traceback is kept in a file
        if in_job:
            raise
        sys.exit(_sentence(error))


def _sentence(error: Exception) -> str:
    """The message for an unexpected error."""
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"error: {where}{error.strerror or error}.{_kept()}"
    if isinstance(error, MemoryError):
        return "error: this machine has not enough memory for this."
    return f"error: a fault of plmscale: {type(error).__name__}: {error}.{_kept()}"


def _kept() -> str:
    """Write the traceback of the current exception to a file; return a sentence that names the file."""
    try:
        handle, path = tempfile.mkstemp(prefix=f"{PROGRAM}-", suffix=".log")
        with os.fdopen(handle, "w") as file:
            traceback.print_exc(file=file)
    except OSError:
        return ""
    return f" The traceback is in {Path(path)}."


def _unknown(name: str) -> SystemExit:
    near = difflib.get_close_matches(name, COMMANDS, n=1)
    guess = f" Did you mean `{PROGRAM} {near[0]}`?" if near else ""
    print(f"error: there is no subcommand {name!r}.{guess} `{PROGRAM} --help` lists them.", file=sys.stderr)
    return SystemExit(2)


def log_to_standard_error() -> None:
    """Log as jobs do: to standard error, with the time; DeepSpeed's remarks only where they warn."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("DeepSpeed").setLevel(logging.WARNING)


def on_stderr(items: Sequence[T], *, what: str) -> Iterator[T]:
    """A progress bar on a terminal, removed at the end of its stage; elsewhere one line per stage.

    It is a `plmscale.report.stages.Progress`.
    """
    if not sys.stderr.isatty():
        print(f"plmscale: {what}", file=sys.stderr, flush=True)
        return iter(items)
    from tqdm import tqdm

    return iter(tqdm(items, desc=what, leave=False, file=sys.stderr))
