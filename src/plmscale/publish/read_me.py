"""The README.md of a published study."""

from collections.abc import Collection

from ..study.study import Study
from ..study.workflow_files import workflow_root
from .configuration import FOLDER, absolute_paths
from .crate import Description

CHECKSUMS, LOCK, README = "SHA256SUMS", "locks/all.txt", "README.md"

_TEXT = """# {title}

{summary}

{n_done} of {n_cells} cells of the study are done and in this folder. `ro-crate-metadata.json` says what each file is
(RO-Crate); `sha256sum --check {checksums}` tests that none has changed.

| where | what |
|---|---|
{rows}

Do the analysis again, from the records of the runs, and compare; this needs neither proteins nor training:

```bash
plmscale reproduce --study . --out ../again
```

Run all of it again, in a new folder beside this one. {source}

```bash
{install}
mkdir ../anew && cp -r {configuration} ../anew && cd ../anew
plmscale run --configfile {configuration}/study.yaml
```

Authors: {authors}. Licence: {licence}.
"""

_ROWS = {
    "report": "| `results/report.html` | the report: the answer, figures, every choice and exclusion |",
    "tables": "| `results/tables/` | the tables of the report: `tsv` is the data |",
    "figures": "| `results/figures/` | its figures, and what they draw as `csv` |",
    "fits": "| `results/fits/` | the fitted laws |",
    "runs": "| `results/runs/`, `results/trunks/` | a folder a cell and a trunk: its record and metrics{cards} |",
    "configuration": "| `configuration/` | `study.yaml` with its tables; `study.json` is what was recorded |",
    "lock": "| `locks/all.txt` | the exact versions of plmscale {version} and all that it needs, with hashes |",
}


def read_me(about: Description, study: Study, *, n_done: int, n_cells: int, without: Collection[str]) -> str:
    """Text of the file.

    Parameters
    ----------
    about : Description
    study : Study
    n_done, n_cells : int
        Cells that are published, and cells of the study.
    without : collection of str
        Parts that are left out.
    """
    from .. import __version__

    locked = f"pip install --require-hashes -r {LOCK}\npip install --no-deps plmscale=={__version__}"
    rows = "\n".join(row for part, row in _ROWS.items() if part not in without)
    source = absolute_paths(study.config).get(study.config.source, study.config.source)
    at_hand = study.config.source_is_url or (workflow_root() / source).is_file()
    return _TEXT.format(
        title=about.title,
        summary=about.summary,
        n_done=n_done,
        n_cells=n_cells,
        checksums=CHECKSUMS,
        rows=rows.format(version=__version__, cards="" if "cards" in without else "; `README.md` is the model card"),
        source="" if at_hand else f"Put `{source}` there first.",
        install=f"pip install 'plmscale[all]=={__version__}'" if "lock" in without else locked,
        configuration=FOLDER,
        authors=", ".join(about.authors),
        licence=about.licence,
    )
