"""Trunks: what runs of the schedule `wsd` that differ in their budget alone have in common, trained once.

Before its decay begins, after (1 − `wsd.decay_share`) of its tokens, a run at the schedule `wsd` is step by step the
run of the same size, set and seed at the schedule `constant` (Hu et al. 2024, §4.2; Hägele et al. 2024, §3): the rate
does not depend on the budget yet, and budgets of one set are prefixes of one order (`plmscale.sets.passes`). So one
trunk at a constant rate serves all budgets, and each of them is a branch that trains its decay. A branch may leave the
trunk at any checkpoint before its decay begins.

Where a rule makes the rate, the batch or the weight decay a function of the budget (`plmscale.study.recipes`), the runs
differ from their first step: each is trained from its start.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .grid import Cell, grid
from .names import ENDS_WITH_BUDGET
from .recipes.resolve import recipes
from .study import Study

SCHEDULE = "wsd"
"""The schedule whose runs have trunks."""


@dataclass(frozen=True)
class Trunk:
    """What the branches of one size, set and seed have in common.

    Attributes
    ----------
    cell : Cell
        What it depends on: nothing of any budget, nothing of the decay.
    branches : tuple of Cell
    finished : frozenset of str
        Paths of the branches that have been trained from it.
    """

    cell: Cell
    branches: tuple[Cell, ...]
    finished: frozenset[str] = frozenset()

    @property
    def path(self) -> str:
        """Where it lies under `results/trunks/`."""
        return trunk_path(self.cell)

    @property
    def points(self) -> list[float]:
        """Passes after which a branch begins its decay, ascending."""
        return sorted({decay_start(cell) for cell in self.branches})

    @property
    def until(self) -> float:
        """Passes after which the last branch begins its decay."""
        return self.points[-1]


def trunk_cell(cell: Cell) -> Cell:
    """The cell of the trunk of a branch: the same at a constant rate, on the set itself.

    Its `frozen()` has no settings of `wsd`: another share or shape of the decay is another branch of the same trunk.
    """
    return replace(cell, schedule="constant", subset=cell.data, of=None, epochs=1.0)


def trunk_path(cell: Cell) -> str:
    """Name of the trunk of a cell: size, set and seed."""
    return f"{cell.model.name}/{cell.data}/seed{cell.seed}"


def common_trunk(cell: Cell) -> str:
    """Name of the steps that a run has in common with runs of other budgets, trained once or again; empty without any.

    Runs of one size, set and seed are one run until a rate depends on the budget: to the decay of `wsd`, to the end of
    the shorter one at `constant` and `token_decay`, never at `cosine`.
    """
    return trunk_path(cell) if cell.schedule == SCHEDULE or cell.schedule not in ENDS_WITH_BUDGET else ""


def common_trunks(cells: Sequence[Cell]) -> list[str]:
    """`common_trunk` of each of some runs, apart where their learning rate, batch or weight decay are not the same."""
    kinds: dict[str, list[dict[str, Any]]] = {}
    found = []
    for cell in cells:
        name, frozen = common_trunk(cell), trunk_cell(cell).frozen()
        known = kinds.setdefault(name, [])
        if frozen not in known:
            known.append(frozen)
        nth = known.index(frozen)
        found.append(f"{name} {nth + 1}" if name and nth else name)
    return found


def decay_start(cell: Cell) -> float:
    """Passes after which the decay of a cell begins."""
    return (1 - cell.training.wsd.decay_share) * cell.epochs


def by_budget(study: Study) -> frozenset[str]:
    """Names of the sizes whose runs of several budgets differ from their first step."""
    found = recipes(study.models, study.config.training)
    return frozenset(name for name, recipe in found.items() if recipe.has_horizon)


def trunks(study: Study, *, alone: Collection[str] = (), kept: Collection[str] = ()) -> dict[str, Trunk]:
    """The trunks of a study by their paths.

    Parameters
    ----------
    study : Study
        With `execution.branch` false it has none, but for `kept`. Cells of `forecast.sets` have none either: what is
        predicted is not half trained by then.
    alone : collection of str
        Paths of cells that need no trunk, since they were trained without.
    kept : collection of str
        Paths of cells that were trained from a trunk, which stays theirs.

    Returns
    -------
    dict of str to Trunk
        One for every size, set and seed of which two cells or more have a use for it. A size whose recipe depends on
        the budget has none.
    """
    groups: dict[str, list[Cell]] = {}
    differ = by_budget(study)
    for cell in grid(study):
        shares = study.config.execution.branch and cell.path not in alone and cell.model.name not in differ
        shares = shares and cell.subset not in study.config.forecast.sets
        if cell.schedule == SCHEDULE and (shares or cell.path in kept):
            groups.setdefault(trunk_path(cell), []).append(cell)
    return {
        path: Trunk(trunk_cell(cells[0]), tuple(cells), frozenset(cell.path for cell in cells if cell.path in kept))
        for path, cells in groups.items()
        if len(cells) > 1 or cells[0].path in kept
    }


def trunk_of_each(found: Mapping[str, Trunk]) -> dict[str, Trunk]:
    """The trunk of every cell that has one, by the cell's path."""
    return {cell.path: trunk for trunk in found.values() for cell in trunk.branches}


def trunks_of_records(study: Study, records: Iterable[Mapping[str, Any]]) -> dict[str, Trunk]:
    """The trunks of a study of which some runs have these records; see `trunks_here`."""
    cells = {cell.path: cell.frozen() for cell in grid(study) if cell.schedule == SCHEDULE}
    alone, kept = set(), set()
    for record in records:
        frozen = record["cell"]
        path = f"{frozen['model']['name']}/{frozen['subset']}/{frozen['schedule']}/seed{frozen['seed']}"
        if cells.get(path) == frozen:
            (kept if record.get("trunk") else alone).add(path)
    return trunks(study, alone=alone, kept=kept)
