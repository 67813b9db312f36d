"""The configuration of a published study: as recorded, and as files that run it again."""

import csv
import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from ..errors import InputError
from ..results import owner
from ..study.config import Config
from ..study.study import Study
from ..study.workflow_files import workflow_root

FOLDER = "configuration"


def recorded_study(results: Path) -> Study:
    """The study that a folder of results belongs to.

    Raises
    ------
    InputError
        If the folder does not say, as one of an older version.
    """
    found = owner.read(results)
    if found is None:
        raise InputError(
            f"publish: {results} does not say which study it has: there is no {owner.RECORD}. Run "
            "`plmscale run --configfile FILE` once more, which records it and trains nothing again."
        )
    return found.study()


def configuration_texts(study: Study) -> dict[str, str]:
    """Text of each file of the configuration, by its path below the published folder.

    `study.yaml` with its two tables runs the study again from the published folder; `study.json` is what was recorded.
    Of absolute paths both have the last name alone: the rest means nothing to a reader.
    """
    recorded = study.to_json()
    cut = absolute_paths(study.config)
    config = recorded["config"] = {key: cut.get(str(value), value) for key, value in recorded["config"].items()}
    tables = {"models": f"{FOLDER}/models.tsv", "subsets": f"{FOLDER}/subsets.tsv"}
    moved = {key: value for key, value in config.items() if key != "published_models"} | tables
    return {
        f"{FOLDER}/study.json": json.dumps(recorded, indent=2) + "\n",
        f"{FOLDER}/study.yaml": yaml.safe_dump(moved, sort_keys=False, allow_unicode=True, width=100),
        tables["models"]: _table(recorded["models"]),
        tables["subsets"]: _table([_asked(row) for row in recorded["subsets"]]),
    }


def absolute_paths(config: Config) -> dict[str, str]:
    """The last names of absolute paths of proteins and tables, by path."""
    named = (Path(path) for path in (config.source, config.models, config.subsets, config.published_models))
    return {str(path): path.name for path in named if path.is_absolute()}


def lock_text() -> str:
    """The exact versions of `plmscale[all]` with hashes, as the installed package carries them."""
    return (workflow_root() / "locks/all.txt").read_text(encoding="utf-8")


def _asked(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of sets as a person writes it: one that makes passes over another set has its sequences from that one."""
    return dict(row) | ({"n_sequences": None, "n_tokens": None} if row.get("of") else {})


def _table(rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows as a table that `read_rows` reads; a column that no row has a value of is left out."""
    rows = list(rows)
    known = dict.fromkeys(key for row in rows for key in row)  # the first row may lack what a later one has
    columns = [key for key in known if any(row.get(key) not in (None, []) for row in rows)]
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter="\t", lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(row.get(key)) for key in columns] for row in rows)
    return out.getvalue()


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "" if value is None else str(value)
