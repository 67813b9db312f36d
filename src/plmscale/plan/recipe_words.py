"""What rules of learning rate, batch and weight decay gave the cells of a study, in sentences."""

from collections.abc import Iterable

from ..presentation.formats import short
from ..study.grid import Cell, grid, table_tokens
from ..study.recipes.published import PUBLISHED, Quantity
from ..study.recipes.resolve import recipes
from ..study.study import Study
from ..study.trunks import SCHEDULE, by_budget

TITLES: dict[Quantity, str] = {
    "learning_rate": "Learning rate",
    "batch_tokens": "Batch",
    "weight_decay": "Weight decay",
}


def values_of(cell: Cell) -> dict[Quantity, float]:
    """The values of a cell that rules may have made."""
    training = cell.training
    return {
        "learning_rate": cell.model.learning_rate,
        "batch_tokens": training.batch_tokens,
        "weight_decay": training.optimizer.weight_decay,
    }


def recipe_words(study: Study) -> str:
    """What the rules are, and the values at both ends; empty where all values are numbers."""
    found, cells, tokens = recipes(study.models, study.config.training), grid(study), table_tokens(study)
    parts = []
    for quantity, title in TITLES.items():
        asked = {name: recipe.asked[quantity] for name, recipe in found.items() if quantity in recipe.rules}
        for rule in dict.fromkeys(asked.values()):
            own = [cell for cell in cells if asked.get(cell.model.name) == rule]
            if own:
                parts.append(f"{title} by the rule {_named(str(rule), quantity)}: {_ends(quantity, own, tokens)}.")
    return " ".join([*parts, *_without_trunks(study, cells)])


def _named(rule: str, quantity: Quantity) -> str:
    published = PUBLISHED[quantity].get(rule)
    return f"{rule} = {published.formula} ({published.source}; {published.found_on})" if published else rule


def _ends(quantity: Quantity, cells: Iterable[Cell], tokens: dict[str, int]) -> str:
    ordered = sorted(cells, key=lambda cell: values_of(cell)[quantity])
    low, high = (_value(quantity, cell, tokens) for cell in (ordered[0], ordered[-1]))
    same = values_of(ordered[0])[quantity] == values_of(ordered[-1])[quantity]
    return f"{values_of(ordered[0])[quantity]:g} for all" if same else f"{low} to {high}"


def _value(quantity: Quantity, cell: Cell, tokens: dict[str, int]) -> str:
    return f"{values_of(cell)[quantity]:g} ({cell.model.name}, {short(tokens[cell.subset])} tokens)"


def _without_trunks(study: Study, cells: Iterable[Cell]) -> list[str]:
    """That cells which would share trunks do not, since their rates differ."""
    differ = by_budget(study)
    own = [cell for cell in cells if cell.schedule == SCHEDULE and cell.model.name in differ]
    data = {(cell.model.name, cell.data, cell.seed) for cell in own}
    if not study.config.execution.branch or len(data) == len(own):
        return []
    return [
        f"These rules depend on the tokens of a run: cells of {SCHEDULE} share no trunk, each is trained from its "
        "start. A rule without D and C lets them share."
    ]
