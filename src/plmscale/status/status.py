"""How far a study is, as text, as a table and as a page without any other file."""

import time
from collections.abc import Sequence
from contextlib import chdir
from html import escape
from pathlib import Path

import pandas as pd

from ..errors import InputError
from ..files import atomic
from ..plan.recipe_words import recipe_words
from ..presentation.formats import duration
from ..presentation.tables import frame_to_tsv
from ..results import owner
from ..sets.counted import counted_tokens
from ..study.configuration import read_configuration
from ..study.jobs import TRUNK, TRUNKS
from ..study.study import Study, load_study, source_file
from ..study.workflow_files import workflow_root
from .cell_states import STATES, cell_states

COLOURS = {
    "done": "#1b7837",
    "diverged": "#762a83",
    "running": "#2166ac",
    "starting": "#4393c3",
    "queued": "#92c5de",
    "waiting": "#d1e5f0",
    "on a lost node": "#f4a582",
    "controller away": "#e0e0e0",
    "interrupted": "#fdae61",
    "refused": "#67001f",
    "failed": "#b2182b",
    "unreadable": "#8c510a",
    "not begun": "#e8e8e8",
}
"""Of the ColorBrewer schemes that colour-blind readers tell apart; every field also has its state in words."""

DARK = {"done", "diverged", "running", "starting", "refused", "failed", "unreadable"}

STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.4 system-ui, sans-serif; color: #222; background: #fff; margin: 1rem; }
.scroll { overflow-x: auto; }
table { border-collapse: separate; border-spacing: 3px; margin-bottom: 1.2rem; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; }
th { text-align: left; font-weight: 600; padding: .2rem .5rem; }
td { padding: .3rem .45rem; min-width: 5.2rem; font-size: .95rem; border-radius: 4px; vertical-align: top; }
td small, td strong { display: block; }
"""


def study_there(results: Path, *, configfile: Path | None = None) -> Study:
    """The study whose status is asked for.

    Parameters
    ----------
    results : Path
        Folder of the results.
    configfile : Path, optional
        Its configuration, over config/config.yaml; its paths begin in the folder that `results` lies in. None: the
        study that `results/study.json` records, without a record the study of config/config.yaml.

    Raises
    ------
    InputError
        If there is no such configuration, or `results` belongs to another study.
    """
    if configfile is None and (there := owner.read(results)):
        return there.study()
    root = workflow_root()
    raw = read_configuration([configfile] if configfile else [], root=root)
    folder = results.absolute().parent
    with chdir(folder if folder.is_dir() else Path()):
        study = load_study(raw, base=root, with_published=False)
        source = source_file(study.config, downloads=Path("resources/download"), base=root).absolute()
    if refused := owner.another(results, study=study, source=source):
        recorded = (results / owner.RECORD).is_file()
        raise InputError(refused + (" Without --configfile the status is that of the study there." if recorded else ""))
    return study


def write_status(study: Study, *, results: Path) -> str:
    """Write `status.tsv` and `status.html` into `results/status`.

    Returns
    -------
    str
        The same for the terminal; the first line says which study lies there, if `results/study.json` does.

    Raises
    ------
    InputError
        If there are no such results.
    """
    if not results.is_dir():
        raise InputError(f"{results} does not exist: nothing has been run there. Give the folder of the results.")
    there = owner.read(results)
    counted = counted_tokens(results, study=study)
    table = cell_states(study, counted, results=results)
    with atomic(results / "status/status.tsv") as partial:
        partial.write_text(frame_to_tsv(table), encoding="utf-8")
    with atomic(results / "status/status.html") as partial:
        partial.write_text(page(table, at=time.time()))
    away = "controller away" in set(table["state"])
    lines = [owner.heading(results, there), ""] if there else []
    lines += ["SLURM's controller does not answer: what is queued is not known.", ""] if away else []
    recipe = recipe_words(study)
    return "\n".join([*lines, in_words(table), *([recipe] if recipe else [])])


def summary(table: pd.DataFrame) -> str:
    """One line: cells and trunks by state, and device-hours spent against planned.

    Examples
    --------
    >>> rows = {"state": ["waiting", "running"], "device_hours": [0.0, 0.5], "planned_device_hours": [1.25, 1.25]}
    >>> summary(pd.DataFrame({"schedule": ["wsd", TRUNK], "device_hours_left": [1.5, 1.0]} | rows))
    '1 waiting; trunks: 1 running; 0.50 of 2.50 planned device-hours spent, about 2.50 left'
    """
    of_trunks = table["schedule"] == TRUNK
    cells, trunks = (_counts(table.loc[which, "state"].tolist()) for which in (~of_trunks, of_trunks))
    names = ("device_hours", "planned_device_hours", "device_hours_left")
    spent, planned, left = (_hours(sum(table[name].tolist())) for name in names)
    parts = [cells, *([f"trunks: {trunks}"] if trunks else [])]
    return f"{'; '.join(parts)}; {spent} of {planned} planned device-hours spent, about {left} left"


def _counts(found: Sequence[str]) -> str:
    return ", ".join(f"{n} {state}" for state in STATES if (n := found.count(state)))


def in_words(table: pd.DataFrame) -> str:
    """The status for a terminal: a grid of percentages for each schedule and seed, what went wrong, and the sums."""
    lines = []
    for title, cells in _maps(table):
        lines += [title, _grid(cells).to_string(), ""]
    for row in table.loc[table["reason"].notna() & (table["state"] != "waiting")].to_dict("records"):
        schedule = "" if row["schedule"] == TRUNK else f"/{row['schedule']}"
        path = f"{'' if schedule else TRUNKS}{row['model']}/{row['subset']}{schedule}/seed{row['seed']}"
        lines.append(f"{path} {row['state']}: {row['reason']}")
    return "\n".join([*lines, summary(table)])


def _maps(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The cells of each schedule and seed, and the trunks of each seed, under their titles."""
    titles = table["schedule"] + ", seed " + table["seed"].astype(str)
    return [(title, table.loc[titles == title]) for title in titles.unique()]


def _grid(cells: pd.DataFrame) -> pd.DataFrame:
    short = [
        row["state"] if row["state"] in ("done", "waiting", "not begun") else f"{row['state']} {row['percent']:.0f} %"
        for row in cells.to_dict("records")
    ]
    grid = cells.assign(short=short).pivot(index="model", columns="subset", values="short").fillna("")
    return grid.loc[cells["model"].unique(), cells["subset"].unique()].rename_axis(index=None, columns=None)


def page(table: pd.DataFrame, *, at: float) -> str:
    """The status as an HTML page: a heat map of sizes × sets for each schedule and seed.

    Parameters
    ----------
    table : pandas.DataFrame
        Of `cell_states`.
    at : float
        When it was read, in seconds since the epoch.
    """
    maps = "\n".join(_map(title, cells) for title, cells in _maps(table))
    when = time.strftime("%F %T %Z", time.localtime(at))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Status of the study</title><style>{STYLE}</style></head>\n<body>\n<h1>Status of the study</h1>\n"
        f"<p>{escape(summary(table))}. Read {escape(when)}.</p>\n{maps}\n</body>\n</html>\n"
    )


def _map(title: str, cells: pd.DataFrame) -> str:
    rows = {(row["model"], row["subset"]): row for row in cells.to_dict("records")}
    models, subsets = cells["model"].unique(), cells["subset"].unique()
    head = "".join(f'<th scope="col">{escape(subset)}</th>' for subset in subsets)
    body = "\n".join(
        f'<tr><th scope="row">{escape(model)}</th>'
        + "".join(_field(rows[model, subset]) if (model, subset) in rows else "<td></td>" for subset in subsets)
        + "</tr>"
        for model in models
    )
    return (
        f'<div class="scroll"><table><caption>{escape(title)}</caption>\n'
        f'<thead><tr><th scope="col">size</th>{head}</tr>'
        f"</thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )


def _field(row: dict) -> str:
    """A field of the map: its state in colour and in words, and its details."""
    state, ink = row["state"], "#fff" if row["state"] in DARK else "#222"
    background = COLOURS[state]
    if state == "running":  # as far as it is
        shade = f"{row['percent']:.0f}%"
        background, ink = f"linear-gradient(90deg, {COLOURS['running']}55 {shade}, #eef4fa {shade})", "#222"
    said = [f"{row['percent']:.0f} %"] if 0 < row["percent"] < 100 else []
    said += [f"loss {row['loss']:.3f}"] if pd.notna(row["loss"]) else []
    said += [f"{duration(3600 * row['eta_hours'])} left"] if pd.notna(row["eta_hours"]) else []
    if row["attempts"]:
        said.append(f"{_hours(row['device_hours'])} of {_hours(row['planned_device_hours'])} device-hours")
    said += [f"job {row['job']}"] if row["job"] else []
    said += [str(row["reason"])[:90]] if row["reason"] else []
    details = "".join(f"<small>{escape(text)}</small>" for text in said)
    return f'<td style="background: {background}; color: {ink}"><strong>{state}</strong>{details}</td>'


def _hours(hours: float) -> str:
    return f"{hours:.2f}" if hours < 10 else f"{hours:,.0f}"
