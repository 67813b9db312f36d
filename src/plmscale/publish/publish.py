"""Write a finished study as a folder for an archive."""

import hashlib
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from ..files import atomic_folder, read_object
from ..laws.fit import Fit
from ..presentation.figure_page import PAGES, printed_on
from ..presentation.figure_style import style
from ..results.analysed import Analysed, read_analysed
from ..study.grid import grid
from . import cards
from .configuration import FOLDER, configuration_texts, lock_text, recorded_study
from .contents import CELL_FILES, Item, contents, finished
from .crate import METADATA, Description, write_crate

CHECKSUMS, LOCK, README = "SHA256SUMS", "locks/all.txt", "README.md"

_README = """# {title}

{summary}

{n_done} of {n_cells} cells of the study are done and in this folder. `ro-crate-metadata.json` says what each file is
(RO-Crate); `sha256sum --check {checksums}` tests that none has changed.

| where | what |
|---|---|
| `results/report.html` | the report: the answer, figures, every choice and exclusion |
| `results/tables/`, `results/figures/`, `results/fits/` | what the report shows, as data |
| `results/runs/` | a folder a cell: `README.md` is its model card |
| `{configuration}/` | the configuration: `study.yaml` with its tables, `study.json` as it was recorded |
| `{lock}` | the exact versions of plmscale {version} and all that it needs, with hashes |

Run it again, in a new folder beside this one:

```bash
pip install --require-hashes -r {lock}
pip install --no-deps plmscale=={version}
mkdir ../again && cp -r {configuration} ../again && cd ../again
plmscale run --configfile {configuration}/study.yaml
```

Authors: {authors}. Licence: {licence}.
"""


def planned(results: Path, *, weights: bool) -> list[tuple[str, str, int | None]]:
    """What would be published: path, kind and bytes of each file; None for those that are written then.

    Raises
    ------
    InputError
        As `publish`.
    """
    items = contents(results, weights=weights)
    recorded_study(finished(results).folder)
    made = [(path, "configuration") for path in (f"{FOLDER}/{name}" for name in _configuration_names())]
    made += [(LOCK, "lock"), (README, "read me"), (CHECKSUMS, "checksums"), (METADATA, "metadata")]
    made += [(f"{one}/{name}", "model card") for one in _cells(items) for name in (cards.CARD, cards.CURVE)]
    rows = [(item.target, item.kind, item.source.stat().st_size) for item in items]
    return sorted([*rows, *((path, kind, None) for path, kind in made)])


def publish(results: Path, out: Path, *, about: Description, weights: bool = False) -> None:
    """Write a folder with all that a reader of the study needs.

    Parameters
    ----------
    results : Path
        Folder of results of a finished study.
    out : Path
        Folder to write: it must not exist, or be empty.
    about : Description
    weights : bool
        Whether the weights of the models go with it.

    Raises
    ------
    InputError
        If there is no finished study, it does not say whose it is, or `out` has something in it.
    """
    items = contents(results, weights=weights)
    files = finished(results)
    study = recorded_study(files.folder)
    with atomic_folder(out) as folder:
        kinds = {item.target: item.kind for item in items}
        for item in items:
            (folder / item.target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(item.source, folder / item.target)
        texts = configuration_texts(study) | {LOCK: lock_text()}
        n_done = len(_cells(items))
        texts[README] = _read_me(about, n_done=n_done, n_cells=len(grid(study)))
        for path, text in texts.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
        kinds |= {path: "configuration" if path.startswith(FOLDER) else Path(path).name for path in texts}
        kinds |= dict(_write_cards(folder, items, read_analysed(files.curves, files.fits), about))
        hashes = {path: _sha256(folder / path) for path in sorted(kinds)}
        write_crate(folder, kinds=dict(sorted(kinds.items())), hashes=hashes, about=about)
        hashes[METADATA] = _sha256(folder / METADATA)
        lines = [f"{digest}  {path}\n" for path, digest in sorted(hashes.items())]
        (folder / CHECKSUMS).write_text("".join(lines), encoding="utf-8")


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


def _configuration_names() -> tuple[str, ...]:
    return ("models.tsv", "study.json", "study.yaml", "subsets.tsv")


def _read_me(about: Description, *, n_done: int, n_cells: int) -> str:
    from .. import __version__

    return _README.format(
        title=about.title,
        summary=about.summary,
        n_done=n_done,
        n_cells=n_cells,
        checksums=CHECKSUMS,
        configuration=FOLDER,
        lock=LOCK,
        version=__version__,
        authors=", ".join(about.authors),
        licence=about.licence,
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
