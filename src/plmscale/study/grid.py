"""The grid of cells, and how parameters and FLOPs are counted.

Parameters and FLOPs follow appendices E and F of Serrano et al. 2024 (arXiv 2406.07249), which follow Hoffmann et al.
2022 with the RoBERTa head added: biases, layer norms and non-linearities are left out, the tied embedding is counted
twice (input and head), and the backward pass costs twice the forward pass.
"""

from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, get_args

from ..files import read_as, read_object
from .config import Health, ModelSize, Training
from .pass_rows import planned_passes
from .recipes.resolve import Recipe, recipes
from .schedule_settings import Schedule
from .study import Study, seeds_of

RESIDUES_PER_SEQUENCE = 325
"""The paper's estimate of a sequence's length (appendix A, table 3)."""


FIRST_INITIAL_WEIGHTS = "bert"
"""Initial weights of the studies from before there was a choice."""

SCHEDULE_BLOCKS = frozenset(get_args(Schedule)) & frozenset(Training.model_fields)
"""Blocks of `training` that are named after a schedule and concern it alone."""


@dataclass(frozen=True)
class Cell:
    """One training run: a size, a set, a schedule and a seed, with everything that its result may depend on.

    Where the set is one of kind `passes`, `of` is the set that it makes `epochs` passes over.
    """

    model: ModelSize
    subset: str
    schedule: str
    seed: int
    training: Training
    max_length: int
    of: str | None = None
    epochs: float = 1.0

    @property
    def data(self) -> str:
        """The set whose sequences are trained on: `subset`, or the one that it makes passes over."""
        return self.of or self.subset

    @property
    def path(self) -> str:
        """Where the run lies under `results/runs/`, and its name everywhere else."""
        return f"{self.model.name}/{self.subset}/{self.schedule}/seed{self.seed}"

    def frozen(self) -> dict[str, Any]:
        """The cell as plain JSON types: what `cell.json` holds, a change of which trains the cell again.

        Left out is what cannot change its result: `schedules`, which selects cells, the settings of schedules that the
        cell does not follow, those of a stop that is off, and settings that came later than the first studies while
        they say what these did: the rules of health, the initial weights and the parametrization.
        """
        other = {name for name in SCHEDULE_BLOCKS if name != self.schedule}
        if self.training.stop.patience_tokens is None:
            other.add("stop")
        if self.training.health == Health():
            other.add("health")
        if self.training.initial_weights == FIRST_INITIAL_WEIGHTS:
            other.add("initial_weights")
        if self.training.parametrization == "standard":
            other |= {"parametrization", "mup"}
        return {
            "model": self.model.model_dump(mode="json", exclude={"schedules"}),
            "subset": self.subset,
            **({"of": self.of, "epochs": self.epochs} if self.of else {}),
            "schedule": self.schedule,
            "seed": self.seed,
            "max_length": self.max_length,
            "training": self.training.model_dump(mode="json", exclude=other),
        }

    @classmethod
    def from_json(cls, frozen: dict[str, Any]) -> "Cell":
        """The cell of a `cell.json`."""
        model = ModelSize.model_validate(frozen["model"] | {"schedules": [frozen["schedule"]]})
        rest = {k: frozen[k] for k in ("subset", "schedule", "seed", "max_length")}
        rest |= {k: frozen[k] for k in ("of", "epochs") if k in frozen}
        return cls(model=model, training=Training.model_validate(frozen["training"]), **rest)


def read_cell(path: Path) -> Cell:
    """The cell that a `cell.json` holds.

    Raises
    ------
    InputError
        If the file is missing or is none.
    """
    frozen = read_object(path)
    with read_as("a cell", where=path):
        return Cell.from_json(frozen)


def table_tokens(study: Study) -> dict[str, int]:
    """Tokens of a run on each set as subsets.tsv has them, whatever has been counted.

    Where the table has no tokens, the estimate is the paper's 325 residues a sequence, cut to `max_length` with START
    and END.
    """
    estimate = min(RESIDUES_PER_SEQUENCE, study.config.max_length)
    once = {s.name: s.n_tokens or s.n_sequences * estimate for s in study.subsets if s.of is None}
    return once | planned_passes(study.subsets, once)


def grid(study: Study) -> list[Cell]:
    """The cells of a study: every size × set to train on × schedule of both × seed, less those left out.

    Rules of learning rate, batch and weight decay are numbers in them (`plmscale.study.recipes`).
    """
    trained, left_out = [s for s in study.subsets if s.train], set(study.left_out)
    tokens, found = table_tokens(study), recipes(study.models, study.config.training)
    cells = []
    for model in study.models:
        values = _Values(found[model.name], study.config.max_length)
        for s, schedule in product(trained, model.schedules):
            if s.schedules is not None and schedule not in s.schedules:
                continue
            size, training = values.at(tokens[s.name])
            data = {"of": s.of, "epochs": s.epochs or 1.0}
            for seed in seeds_of(study.config, model, s):
                cells.append(Cell(size, s.name, schedule, seed, training, study.config.max_length, **data))
    return [cell for cell in cells if cell.path not in left_out]


class _Values:
    """The values of a size's cells by their tokens, each made once."""

    def __init__(self, recipe: Recipe, max_length: int) -> None:
        self._recipe, self._max_length = recipe, max_length
        self._by_tokens = recipe.has_horizon
        self._made: dict[int, tuple[ModelSize, Training]] = {}

    def at(self, n_tokens: int) -> tuple[ModelSize, Training]:
        key = n_tokens if self._by_tokens else 0
        if key not in self._made:
            self._made[key] = self._recipe.at(n_tokens, max_length=self._max_length)
        return self._made[key]
