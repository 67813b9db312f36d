"""Write a finished study as a folder for an archive."""

import hashlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from ..files import atomic_folder, read_object
from ..laws.fit import Fit
from ..presentation.figure_page import PAGES, printed_on
from ..presentation.figure_style import style
from ..results.analysed import Analysed, read_analysed
from ..study.grid import grid
from ..study.study import Study
from . import cards
from .configuration import absolute_paths, configuration_texts, lock_text, recorded_study
from .contents import CELL_FILES, Item, contents, finished
from .crate import METADATA, Description, write_crate
from .read_me import CHECKSUMS, LOCK, README, read_me
from .records import copy_files


def planned(results: Path, *, weights: bool, without: Collection[str] = ()) -> list[tuple[str, str, int | None]]:
    """What would be published: path, kind and bytes of each file; None for those that are written then.

    Raises
    ------
    InputError
        As `publish`.
    """
    items = contents(results, weights=weights, without=without)
    study = recorded_study(finished(results).folder)
    texts = _texts(study, without)
    made = [(path, _kind(path)) for path in (*texts, README, CHECKSUMS, METADATA)]
    if "cards" not in without:
        made += [(f"{one}/{name}", "model card") for one in _cells(items) for name in (cards.CARD, cards.CURVE)]
    rows = [(item.target, item.kind, item.source.stat().st_size) for item in items]
    return sorted([*rows, *((path, kind, None) for path, kind in made)])


def publish(
    results: Path, out: Path, *, about: Description, weights: bool = False, without: Collection[str] = ()
) -> None:
    """Write a folder with all that a reader of the study needs.

    Records name hosts by number, and absolute paths of proteins and tables are cut to their last names.

    Parameters
    ----------
    results : Path
        Folder of results of a finished study.
    out : Path
        Folder to write: it must not exist, or be empty.
    about : Description
    weights : bool
        Whether the weights of the models go with it.
    without : collection of str
        Parts that are left out (`contents.OPTIONAL`).

    Raises
    ------
    InputError
        If there is no finished study, it does not say whose it is, or `out` has something in it.
    """
    items = contents(results, weights=weights, without=without)
    files = finished(results)
    study = recorded_study(files.folder)
    with atomic_folder(out) as folder:
        copy_files(items, folder, without=without, paths=absolute_paths(study.config))
        texts = _texts(study, without)
        texts[README] = read_me(about, study, n_done=len(_cells(items)), n_cells=len(grid(study)), without=without)
        for path, text in texts.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
        kinds = {item.target: item.kind for item in items} | {path: _kind(path) for path in texts}
        if "cards" not in without:
            kinds |= dict(_write_cards(folder, items, read_analysed(files.curves, files.fits), about))
        hashes = {path: sha256(folder / path) for path in sorted(kinds)}
        write_crate(folder, kinds=dict(sorted(kinds.items())), hashes=hashes, about=about)
        hashes[METADATA] = sha256(folder / METADATA)
        lines = [f"{digest}  {path}\n" for path, digest in sorted(hashes.items())]
        (folder / CHECKSUMS).write_text("".join(lines), encoding="utf-8")


def _texts(study: Study, without: Collection[str]) -> dict[str, str]:
    """Configuration and lock by path."""
    return configuration_texts(study) | ({} if "lock" in without else {LOCK: lock_text()})


def _write_cards(folder: Path, items: list[Item], analysed: Analysed, about: Description) -> Iterator[tuple[str, str]]:
    """Write card and curve of each cell; the path and kind of what was written."""
    curves = {curve.run: curve for curve in analysed.curves}
    for cell in _cells(items):
        record = read_object(folder / cell / CELL_FILES[1])
        schedule = record["cell"]["schedule"]
        own = [by_schedule[schedule] for by_schedule in analysed.fits.values() if schedule in by_schedule]
        curve = curves.get(cell.removeprefix("results/runs/"))
        drawn = curve is not None and len(curve.n_tokens) > 0
        if curve is not None and drawn:
            laws = _losses(own, record["n_params"], record["n_tokens"])
            with printed_on(PAGES[0]), style():
                figure = cards.curve_figure(curve, laws=laws)
                figure.savefig(folder / cell / cards.CURVE, metadata={"Date": None, "Creator": None})
            yield f"{cell}/{cards.CURVE}", "figure"
        text = cards.card(record, fits=own, study=about.title, licence=about.licence, has_curve=drawn)
        (folder / cell / cards.CARD).write_text(text, encoding="utf-8")
        yield f"{cell}/{cards.CARD}", "model card"


def _losses(fits: list[Fit], n_params: float, n_tokens: float) -> Mapping[str, float]:
    found = {fit.name: cards.law_loss(fit, n_params=n_params, n_tokens=n_tokens) for fit in fits}
    return {name: loss for name, loss in found.items() if loss is not None}


def _cells(items: list[Item]) -> list[str]:
    """Folders of the cells that are published."""
    records = (item.target for item in items if item.target.startswith("results/runs/"))
    return [path.rpartition("/")[0] for path in records if path.endswith(f"/{CELL_FILES[1]}")]


def _kind(path: str) -> str:
    """What a file is that is written then."""
    kinds = {LOCK: "lock", README: "read me", CHECKSUMS: "checksums", METADATA: "metadata"}
    return kinds.get(path, "configuration")


def sha256(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
