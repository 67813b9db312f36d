"""Numbers in the place of rules: what a cell is trained with.

D is what the table of sets says, not what a set was counted to have: a cell must not become another one when its set is
made, or counted again.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from ...errors import InputError
from ..config import AskedTraining, ModelSize, Optimizer, Training
from ..flops import VOCABULARY_SIZE, count_params, train_flops
from .model_row import ModelRow
from .published import Quantity
from .rule import Rule, RunSize
from .settings import BOUNDS, rule_of

KEYS: dict[Quantity, str] = {
    "learning_rate": "training.learning_rate",
    "batch_tokens": "training.batch_tokens",
    "weight_decay": "training.optimizer.weight_decay",
}
"""The settings that may be rules."""


def run_size(model: ModelSize, n_tokens: float, *, max_length: int) -> RunSize:
    """A size trained on so many tokens, as rules see it."""
    n = count_params(model)
    flops = train_flops(model, n_tokens, convention="appendix_e", max_length=max_length)
    return RunSize(n, n - 2 * VOCABULARY_SIZE * model.d_model, n_tokens, flops)


@dataclass(frozen=True)
class Recipe:
    """What the cells of one size are trained with.

    Attributes
    ----------
    model : ModelSize
    training : AskedTraining
    asked : dict of str to number or str
        Learning rate, batch and weight decay as the tables and the configuration have them.
    """

    model: ModelSize
    training: AskedTraining
    asked: dict[Quantity, float | str]

    @classmethod
    def of(cls, model: ModelSize, training: AskedTraining) -> "Recipe":
        """That of a row of models.tsv, whose learning rate is before that of the configuration."""
        own: float | str | None = model.learning_rate
        rate = training.learning_rate if own is None else own
        if rate is None:
            raise InputError(
                f"the size {model.name!r} has no learning rate. Fill the column learning_rate of models.tsv, or set "
                "training.learning_rate."
            )
        return cls(
            model,
            training,
            {
                "learning_rate": rate,
                "batch_tokens": training.batch_tokens,
                "weight_decay": training.optimizer.weight_decay,
            },
        )

    @property
    def rules(self) -> dict[Quantity, Rule]:
        """The rules among them."""
        found: dict[Quantity, Rule] = {}
        for quantity, value in self.asked.items():
            if rule := rule_of(value, quantity):
                found[quantity] = rule
        return found

    @property
    def has_horizon(self) -> bool:
        """Whether runs that differ in their tokens alone are trained otherwise from their first step."""
        return any(rule.has_horizon for rule in self.rules.values())

    def at(self, n_tokens: float, *, max_length: int) -> tuple[ModelSize, Training]:
        """Size and settings of a run of so many tokens.

        Raises
        ------
        InputError
            If a rule gives a value that no setting may have.
        """
        values = dict(self.asked)
        if rules := self.rules:
            run = run_size(self.model, n_tokens, max_length=max_length)
            values |= {quantity: self._value(rule, quantity, run) for quantity, rule in rules.items()}
        model = ModelSize.model_validate(
            self.model.model_dump(include=set(ModelSize.model_fields)) | {"learning_rate": values["learning_rate"]}
        )
        settings = {name: getattr(self.training, name) for name in Training.model_fields}
        optimizer = self.training.optimizer.model_dump() | {"weight_decay": values["weight_decay"]}
        settings |= {"batch_tokens": values["batch_tokens"], "optimizer": Optimizer.model_validate(optimizer)}
        if isinstance(self.model, ModelRow) and self.model.patience_tokens is not None:
            settings["stop"] = self.training.stop.model_copy(update={"patience_tokens": self.model.patience_tokens})
        return model, Training.model_validate(settings)

    def _value(self, rule: Rule, quantity: Quantity, run: RunSize) -> float:
        value, (low, high) = rule.at(run), BOUNDS[quantity]
        value = round(value) if quantity == "batch_tokens" else value
        if not low <= value <= high:
            raise InputError(
                f"{KEYS[quantity]}: the rule {self.asked[quantity]!r} gives {value:g} for {self.model.name} and "
                f"{run.n_tokens:.3g} tokens. It must be from {low:g} to {high:g}: correct the rule, or give a number."
            )
        return value


def recipes(models: Iterable[ModelSize], training: AskedTraining) -> dict[str, Recipe]:
    """The recipe of every size by its name."""
    return {model.name: Recipe.of(model, training) for model in models}
