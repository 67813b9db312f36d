"""Read a study: the configuration and its two tables, checked together."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlparse

from ..errors import InputError
from .config import AskedTraining, Config, Subset
from .pass_rows import with_passes
from .published_settings import PublishedModel
from .recipes.fitted import fitted_formula
from .recipes.model_row import ModelRow
from .recipes.resolve import recipes
from .recipes.settings import FITTED
from .schedule_settings import Schedule
from .table_rows import read_rows, validated

Asked = TypeVar("Asked", ModelRow, AskedTraining)
Rows = Sequence[tuple[int, ModelRow]] | Sequence[tuple[int, Subset]]

LATER_COLUMNS = ("n_tokens", "n_seeds", "subsets", "models", "patience_tokens")
"""Columns of the tables that the first studies did not have."""

MOST_CELLS = 5_000
"""Cells of a study, far beyond any; their plan takes seconds."""


@dataclass(frozen=True)
class Study:
    """A configuration with its tables of sizes and sets.

    Attributes
    ----------
    config : Config
    models : tuple of ModelRow
        In the order of the table.
    subsets : tuple of Subset
        In the order of the table.
    left_out : tuple of str
        Paths of the cells that are not trained because they are beyond the budget.
    published : tuple of PublishedModel
        Published models that the study's law is compared with.
    """

    config: Config
    models: tuple[ModelRow, ...]
    subsets: tuple[Subset, ...]
    left_out: tuple[str, ...] = ()
    published: tuple[PublishedModel, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The study as plain JSON types."""
        return {
            "config": self.config.model_dump(mode="json"),
            "models": [_row_json(m) for m in self.models],
            "subsets": [_row_json(s) for s in self.subsets],
            "left_out": list(self.left_out),
            "published": [p.model_dump(mode="json") for p in self.published],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Study":
        """The study that `to_json` gave."""
        return cls(
            Config.model_validate(value["config"]),
            tuple(ModelRow.model_validate(m) for m in value["models"]),
            tuple(Subset.model_validate(s) for s in value["subsets"]),
            tuple(value["left_out"]),
            tuple(PublishedModel.model_validate(p) for p in value.get("published", ())),
        )


def _row_json(row: ModelRow | Subset) -> dict[str, Any]:
    """A row of a table; columns that later versions brought are left out where they are empty."""
    empty = {name for name in LATER_COLUMNS if getattr(row, name, None) is None}
    return row.model_dump(mode="json", exclude=empty)


def load_study(raw: dict[str, Any], *, base: Path, with_published: bool = True) -> Study:
    """Check a configuration and read the tables that it names.

    Parameters
    ----------
    raw : dict
        The configuration as YAML gives it.
    base : Path
        Folder of the workflow: a table that is not found under the working directory is looked for there.
    with_published : bool
        Whether the table of published models is read: who trains or watches needs none.

    Raises
    ------
    InputError
        For a key, value or row that cannot be used; the message names key or file and line, the value, and the remedy.
    """
    config = validated(Config, raw, what="Invalid configuration")
    models_path, subsets_path = (
        _find(p, key, base) for p, key in ((config.models, "models"), (config.subsets, "subsets"))
    )
    models, subsets = read_rows(models_path, ModelRow), read_rows(subsets_path, Subset)
    models, config = [(line, _with_formula(model)) for line, model in models], _with_formula_of(config)
    for line, model in models:
        _check_model(f"{models_path}, line {line}", model)
    _check_subsets(subsets_path, subsets)
    _check_schedules(subsets_path, subsets, {one for _, model in models for one in model.schedules})
    for path, rows, others in ((models_path, models, subsets), (subsets_path, subsets, models)):
        _check_seeds(path, rows, config.seeds)
        _check_named(path, rows, others)
    _check_forecast(config.forecast.sets, [subset for _, subset in subsets])
    subsets = with_passes(subsets_path, subsets, order=config.training.order)
    _check_cells(config, [m for _, m in models], [s for _, s in subsets])
    recipes([model for _, model in models], config.training)
    published = read_published(_find(config.published_models, "published_models", base)) if with_published else ()
    return Study(config, tuple(m for _, m in models), tuple(s for _, s in subsets), published=published)


def _with_formula(row: Asked) -> Asked:
    """A row, or a training, with the formula of the sweeps whose file it names."""
    rate = row.learning_rate
    if not (isinstance(rate, str) and rate.endswith(FITTED)):
        return row
    return row.model_copy(update={"learning_rate": fitted_formula(rate)})


def _with_formula_of(config: Config) -> Config:
    return config.model_copy(update={"training": _with_formula(config.training)})


def read_published(path: Path) -> tuple[PublishedModel, ...]:
    """The rows of a table of published models.

    Raises
    ------
    InputError
        For a row that cannot be used, with file, line, column, value and remedy.
    """
    if not path.is_file():
        raise InputError(f"the table of published models {str(path)!r} does not exist. Give the path of a table.")
    return tuple(row for _, row in read_rows(path, PublishedModel))


def source_file(config: Config, *, downloads: Path, base: Path) -> Path:
    """The FASTA of a study: where a URL is downloaded to, or the user's own file.

    A relative path that does not exist under the working directory is looked for in `base`, the folder of the workflow.
    """
    if config.source_is_url:
        return downloads / Path(urlparse(config.source).path).name
    shipped = base / config.source
    return shipped if shipped.is_file() and not Path(config.source).exists() else Path(config.source)


def _find(path: str, key: str, base: Path) -> Path:
    for candidate in (Path(path), base / path):
        if candidate.is_file():
            return candidate
    raise InputError(f"{key}: the table {path!r} does not exist. Give the path of a tab-separated table.")


def _check_model(where: str, model: ModelRow) -> None:
    step = 2 * model.n_heads
    if model.d_model % step:
        below, above = model.d_model // step * step, (model.d_model // step + 1) * step
        nearest = " or ".join(str(d) for d in (below, above) if d)
        raise InputError(
            f"{where}: d_model {model.d_model} of {model.name!r} is not an even multiple of its {model.n_heads} heads "
            f"(rotary embeddings turn pairs of dimensions). Choose {nearest}, or another number of heads."
        )


def _check_cells(config: Config, models: list[ModelRow], subsets: list[Subset]) -> None:
    pairs = [(model, one) for model in models for one in subsets if one.train]
    n = sum(
        len(set(model.schedules) & set(one.schedules or model.schedules)) * len(seeds_of(config, model, one))
        for model, one in pairs
    )
    if n > MOST_CELLS:
        raise InputError(
            f"the tables and their seeds ask for {n:,} cells; a study has at most {MOST_CELLS:,}. Leave "
            "rows or seeds out."
        )


def seeds_of(config: Config, model: ModelRow, subset: Subset) -> list[int]:
    """Seeds of the cells of a size and a set: the first of the configuration's, as many as both allow; or none."""
    if subset.name not in (model.subsets or [subset.name]) or model.name not in (subset.models or [model.name]):
        return []
    return config.seeds[: min(one.n_seeds or len(config.seeds) for one in (model, subset))]


def _check_subsets(path: Path, subsets: list[tuple[int, Subset]]) -> None:
    names = {s.name for _, s in subsets}
    for line, subset in subsets:
        where = f"{path}, line {line}"
        if subset.name == "holdout":
            raise InputError(f"{where}: the name 'holdout' is taken by the holdout set. Choose another.")
        if (subset.kind == "cluster") != (subset.min_identity is not None):
            raise InputError(
                f"{where}: min_identity is {subset.min_identity} for kind {subset.kind!r}. "
                "Give it (0 to 1) for every 'cluster' and for nothing else."
            )
        if subset.same_size_as is not None and subset.kind != "sample":
            raise InputError(
                f"{where}: same_size_as is for kind 'sample'; {subset.name!r} is {subset.kind!r}. Leave it empty."
            )
        if subset.same_size_as is not None and subset.same_size_as not in names - {subset.name}:
            raise InputError(
                f"{where}: same_size_as {subset.same_size_as!r} is not another set of this table "
                f"({', '.join(sorted(names))})."
            )
    if not any(s.train for _, s in subsets):
        raise InputError(f"{path}: no set has train = yes, so there is nothing to train. Set it for at least one row.")


def _check_schedules(path: Path, subsets: list[tuple[int, Subset]], known: set[Schedule]) -> None:
    for line, subset in subsets:
        for name in subset.schedules or ():
            if name not in known:
                raise InputError(
                    f"{path}, line {line}: no size is trained with the schedule {name!r} of {subset.name!r} (the table "
                    f"of sizes has {', '.join(sorted(known))}). Correct it, or add it to the sizes that it is for."
                )


def _check_seeds(path: Path, rows: Rows, seeds: Sequence[int]) -> None:
    for line, row in rows:
        if (row.n_seeds or 0) > len(seeds):
            raise InputError(
                f"{path}, line {line}: n_seeds is {row.n_seeds}, but `seeds` of the configuration has {len(seeds)}. "
                "Add seeds there, or ask for fewer here."
            )


def _check_named(path: Path, rows: Rows, others: Rows) -> None:
    known = [other.name for _, other in others]
    for line, row in rows:
        column = "subsets" if isinstance(row, ModelRow) else "models"
        for name in getattr(row, column) or ():
            if name not in known:
                raise InputError(
                    f"{path}, line {line}: {column} names {name!r}, which the other table does not have "
                    f"({', '.join(known)})."
                )


def _check_forecast(sets: Sequence[str], subsets: Sequence[Subset]) -> None:
    trained = [subset.name for subset in subsets if subset.train]
    for name in sets:
        if name not in trained:
            raise InputError(f"forecast.sets: {name!r} is no set that is trained on ({', '.join(trained)}).")
    if sets and set(trained) <= set(sets):
        raise InputError(
            "forecast.sets: these are all sets that are trained on; the others would predict them. Name fewer."
        )
