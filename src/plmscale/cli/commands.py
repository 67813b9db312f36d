"""The subcommands of `plmscale`, grouped by what a person wants."""

from importlib import import_module
from types import ModuleType
from typing import NamedTuple


class Command(NamedTuple):
    """A subcommand: its group in `plmscale --help`, what it does in a line, and the extra that it needs."""

    group: str
    summary: str
    extra: str | None = None


STUDY, LAWS, MODELS, WORKFLOW, SHELL = (
    "Plan and run a study",
    "Fit laws to runs, whoever trained them",
    "Use trained models",
    "Called by the workflow",
    "Set up",
)

COMMANDS = {
    "plan": Command(STUDY, "what a study would cost, before any of it runs"),
    "run": Command(STUDY, "run a study, or one of its targets, with Snakemake", "workflow"),
    "calibrate": Command(STUDY, "measure the speeds that a plan assumes, on your nodes", "workflow"),
    "status": Command(STUDY, "how far a study is: done, running, queued, failed and why"),
    "remove": Command(STUDY, "delete one cell, so that it is trained afresh"),
    "fit": Command(LAWS, "fit scaling laws to a table, an export or a folder of runs"),
    "advise": Command(LAWS, "which cells to train next, by what they tell for their cost"),
    "compare": Command(LAWS, "studies, schedules or sets side by side"),
    "published": Command(LAWS, "where published models stand on a fitted law"),
    "reproduce": Command(LAWS, "published numbers, computed again from published data"),
    "evaluate": Command(MODELS, "masked loss and perplexity of an encoder on a FASTA file", "train"),
    "export": Command(MODELS, "a run's weights for Hugging Face or fair-esm", "train"),
    "export-fasta": Command(MODELS, "a token store, or one of its sets, as FASTA", "workflow"),
    "train": Command(WORKFLOW, "train one cell, once per rank", "train"),
    "time-size": Command(WORKFLOW, "time a short run of one size, once per rank", "train"),
    "time-size-data": Command(WORKFLOW, "make the files of such a run", "train"),
    "completion": Command(SHELL, "print the completion of bash, zsh or tcsh"),
}


def module_of(name: str) -> ModuleType:
    """The module of a subcommand: its `DESCRIPTION`, `arguments` and `run`."""
    return import_module(f"plmscale.cli.{name.replace('-', '_')}")
