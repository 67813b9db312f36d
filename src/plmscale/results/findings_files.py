"""The files of findings, results/analysis/*.json.

A table is {"columns": names, "data": rows}, what pandas reads with `orient="split"`; a reason is its code and values.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..files import read_object, write_json
from ..laws.fit import jsonable
from ..laws.rates.found import RateFindings
from ..laws.size_law import SizeLaw
from ..reasons import Reason
from ..runs.extent import Extent
from .findings import Findings, LawLine, Published

TABLES = {
    "outcomes": ("cells", "trunks", "software"),
    "costs": ("plan", "costs"),
    "sensitivity": ("sensitivity",),
    "set_worth": ("set_worth",),
    "paper": ("paper",),
    "forecast": ("forecast", "forecast_sizes"),
}
"""Tables by file."""


def write_findings(findings: Findings, folder: Path) -> None:
    """Write every file of `plmscale.study.catalog.FINDINGS`, each atomically."""
    for name, tables in TABLES.items():
        write_json(folder / f"{name}.json", {table: table_json(getattr(findings, table)) for table in tables})
    write_json(folder / "learning_rates.json", {"schedules": [one.to_json() for one in findings.rates]})
    law, line = findings.published.law, findings.published.line
    published = {"law": law and jsonable(asdict(law)), "line": jsonable(line._asdict())}
    write_json(folder / "published_models.json", published | {"models": table_json(findings.published.models)})


def read_findings(paths: Sequence[Path]) -> Findings:
    """The findings that `write_findings` wrote."""
    files = {Path(path).stem: read_object(path) for path in paths}
    tables = {table: read_table(files[name][table]) for name, held in TABLES.items() for table in held}
    rates = [RateFindings.from_json(one) for one in files["learning_rates"]["schedules"]]
    return Findings(**tables, rates=rates, published=_published(files["published_models"]))


def _published(value: Mapping[str, Any]) -> Published:
    law = None
    if held := value["law"]:
        law = SizeLaw(**{**held, "flops": tuple(held["flops"]), "seen": Extent.from_json(held.get("seen"))})
    line = LawLine(**{key: np.array(rows, dtype=float).reshape(-1, 2) for key, rows in value["line"].items()})
    return Published(law, read_table(value["models"]), line)


def table_json(table: pd.DataFrame) -> dict[str, Any]:
    """A table as JSON, cell by cell: whole numbers stay whole beside missing ones."""
    rows = table.astype(object).to_numpy().tolist()
    return {"columns": list(table.columns), "data": [[_cell(value) for value in row] for row in rows]}


def read_table(value: Mapping[str, Any]) -> pd.DataFrame:
    """The table that `table_json` wrote, of objects; None where there is no number."""
    rows = [[_read(cell) for cell in row] for row in value["data"]]
    return pd.DataFrame(rows, columns=pd.Index(value["columns"]), dtype=object)


def _cell(value: Any) -> Any:
    return value.to_json() if isinstance(value, Reason) else jsonable(value)


def _read(value: Any) -> Any:
    return Reason.from_json(value) if isinstance(value, Mapping) else value
