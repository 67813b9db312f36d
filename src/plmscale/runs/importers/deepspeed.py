"""DeepSpeed's csv monitor: a folder per job, a file per event."""

from pathlib import Path

import pandas as pd

from ..metrics import choose_loss, may_be_loss
from ..table_files import header, read_table
from ..tidy import ImportedRuns, ImportOptions
from .exports import Export, assemble, distinct, step_column


def deepspeed_files(path: Path) -> list[Path]:
    """Files of DeepSpeed's csv monitor, named after their event as their second column is, if one is a loss."""
    files = [path] if path.is_file() and path.suffix == ".csv" else sorted(path.rglob("*.csv"))
    own = [f for f in files if len(names := header(f)) == 2 and names[0] == "step" and _ends_in(f.stem, names[1])]
    return own if any(may_be_loss(file.stem) for file in own) else []


def read_deepspeed(path: Path, options: ImportOptions) -> ImportedRuns:
    """One run per job folder. Steps of its own events are samples: `tokens_per_step` is per sample."""
    files = deepspeed_files(path)
    events = {file: file.stem for file in files}
    metrics: dict[str, list[str]] = {}
    for file, event in events.items():
        metrics.setdefault(event, []).append(str(file.parent))
    runs = list(dict.fromkeys(str(file.parent) for file in files))
    loss = choose_loss(
        metrics, runs=runs, wanted=_wanted(options.loss_column, files, events), source=str(path), what="event"
    )
    own = [file for file in files if events[file] == loss]
    names = distinct(own, path, [file.absolute().parent.name for file in own])
    exports = [Export(name, _curve(file), file) for name, file in zip(names, own, strict=True)]
    found = assemble(exports, source=str(path), kind="deepspeed", options=options, loss=loss)
    note = "A step of DeepSpeed's monitor is a sample: tokens_per_step was taken as tokens per sample."
    return ImportedRuns(found.frame, found.source, found.format, (note, *found.notes), loss)


def _ends_in(stem: str, column: str) -> bool:
    return stem.replace(" ", "_").endswith(column.replace(" ", "_"))


def _wanted(asked: str | None, files: list[Path], events: dict[Path, str]) -> str | None:
    """The event that is meant, where the header's name of it is given."""
    if not asked or asked in events.values():
        return asked
    meant = {events[file] for file in files if header(file)[1] == asked}
    return meant.pop() if len(meant) == 1 else asked


def _curve(file: Path) -> pd.DataFrame:
    """Rows with `step` and `loss`."""
    table = read_table(file)
    step, loss = (str(name) for name in table.columns)
    rows = pd.DataFrame({"step": step_column(table, step, str(file)), "loss": table[loss]}, index=table.index)
    rows.attrs.update(table.attrs)
    return rows
