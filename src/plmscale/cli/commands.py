"""The subcommands of `plmscale`, grouped by what a person wants."""

from importlib import import_module
from types import ModuleType
from typing import NamedTuple


class Command(NamedTuple):
    """A subcommand: its group in `plmscale --help`, what it does in a line, and the extra that it needs."""

    group: str
    summary: str
    extra: str | None = None


STUDY, LAWS, MODELS, SHARE, WORKFLOW, SHELL = (
    "Plan and run a study",
    "Fit laws to existing runs",
    "Use trained models",
    "Give it to others",
    "Called by the workflow",
    "Set up",
)

COMMANDS = {
    "init": Command(STUDY, "write the folder and the profile of a study on this cluster"),
    "doctor": Command(STUDY, "test whether this cluster has what a study needs, and say how to mend what is missing"),
    "design": Command(STUDY, "write a study that a budget pays for, with the intervals to expect", "workflow"),
    "plan": Command(STUDY, "compute what a study costs, before it runs"),
    "run": Command(STUDY, "run a study, or one of its targets", "workflow"),
    "calibrate": Command(STUDY, "measure on your devices the speeds that the plan assumes", "workflow"),
    "forecast": Command(STUDY, "predict cells before they are trained, and compare afterwards"),
    "status": Command(STUDY, "show the progress of a study, and why cells failed"),
    "remove": Command(STUDY, "delete one cell, so that it is trained again"),
    "ask": Command(LAWS, "ask a law: the best model for a budget, the cost of a loss, the loss of a model"),
    "fit": Command(LAWS, "fit scaling laws to a table, an export or a folder of runs"),
    "advise": Command(LAWS, "rank the cells to train next by information per cost"),
    "compare": Command(LAWS, "compare studies, schedules or sets"),
    "published": Command(LAWS, "place published models on a fitted law"),
    "reproduce": Command(LAWS, "recompute published numbers, or the analysis of a published study"),
    "evaluate": Command(MODELS, "compute loss and perplexity of an encoder on a FASTA file", "train"),
    "export": Command(MODELS, "write a run's weights for Hugging Face or fair-esm", "train"),
    "export-fasta": Command(MODELS, "write the store, or one of its sets, as FASTA", "workflow"),
    "publish": Command(SHARE, "write a finished study as a folder for an archive", "publish"),
    "bundle": Command(SHARE, "download what an installation needs, for machines without a network"),
    "train": Command(WORKFLOW, "train one cell, once per rank", "train"),
    "time-size": Command(WORKFLOW, "time a short run of one size, once per rank", "train"),
    "time-size-data": Command(WORKFLOW, "write the input files of such a run", "train"),
    "completion": Command(SHELL, "print the completion script for bash, zsh or tcsh"),
}

ROOMS = {WORKFLOW: "plmscale.cli.in_jobs", SHARE: "plmscale.cli.share"}
"""Where the modules of a group are, if not beside this one."""


def module_of(name: str) -> ModuleType:
    """The module of a subcommand: its `DESCRIPTION`, `arguments` and `run`."""
    room = ROOMS.get(COMMANDS[name].group, "plmscale.cli")
    return import_module(f"{room}.{name.replace('-', '_')}")
