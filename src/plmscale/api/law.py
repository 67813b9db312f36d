"""One law of one group of runs."""

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING

from ..estimates import Estimate, Status
from ..presentation.formats import FIT_TITLES, verdict, with_interval
from .answers import OptimalSize, PredictedLoss
from .names import known

if TYPE_CHECKING:
    from .laws import Laws


class Law:
    """One law of one group of runs.

    `law["alpha"]` is the `Estimate` of a parameter: `value`, `low`, `high`, None where the runs do not give it.
    """

    def __init__(self, laws: "Laws", name: str, group: str) -> None:
        self.laws, self.name, self.group = laws, name, group
        self.fit = laws.results.fits[name][group]

    @property
    def status(self) -> Status:
        """ "identified", "weakly_identified", "not_identified" or "failed"."""
        return self.fit.status

    @property
    def reason(self) -> str:
        """One sentence."""
        return self.fit.reason

    @property
    def verdict(self) -> str:
        """Status and reason in one sentence."""
        return verdict(self.fit)

    @property
    def warnings(self) -> list[str]:
        """What a reader of the numbers must know."""
        return list(self.fit.details.get("warnings", ()))

    @property
    def estimates(self) -> Mapping[str, Estimate]:
        """Parameters with their 95 % intervals."""
        return self.fit.estimates

    def __getitem__(self, parameter: str) -> Estimate:
        return self.estimates[known(parameter, self.estimates, what=f"parameter of {self.name}")]

    def n_opt(self, flops: float) -> OptimalSize:
        """`Laws.n_opt` by this law."""
        return self.laws.n_opt(flops, law=self.name, group=self.group)

    def predict(self, *, n_params: float, n_tokens: float) -> PredictedLoss:
        """`Laws.predict` by this law."""
        return self.laws.predict(n_params=n_params, n_tokens=n_tokens, law=self.name, group=self.group)

    def __repr__(self) -> str:
        from ..report.tables.laws import symbol

        rows = [
            f"  {symbol(key)} = {with_interval(one)}" for key, one in self.estimates.items() if one.value is not None
        ]
        warnings = [f"  warning: {text}" for text in self.warnings]
        return "\n".join([f"{FIT_TITLES[self.name]} ({self.group}), {self.verdict}", *rows, *warnings])

    def _repr_html_(self) -> str:
        first, *rest = repr(self).split("\n")
        return f"<b>{escape(first)}</b><ul>{''.join(f'<li>{escape(line.strip())}</li>' for line in rest)}</ul>"
