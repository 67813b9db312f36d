"""What a draft costs by the plan, and the tokens with which it uses its budget."""

from dataclasses import dataclass
from math import exp, log

from ..errors import InputError
from ..plan.grid_choice import within_budget
from ..plan.plan import chosen
from ..study.config import Hardware
from ..study.grid import grid
from ..study.jobs import jobs, planned_tokens
from ..study.study import Study
from .study import Draft

LEAST_SHARE, MOST_SHARE = 0.9, 1.0
AIM = 0.995
"""Share of the budget that is aimed at; rounding of passes stays within it."""

STEPS = 24
REACH = log(8)


@dataclass(frozen=True)
class Cost:
    """A study by its plan.

    Attributes
    ----------
    flops : float
        Training FLOPs by appendix E, trunks once.
    device_hours, hours : float
        The sum over jobs; from the first start to the last end, infinite without a number of devices.
    """

    flops: float
    device_hours: float
    hours: float

    def share(self, draft: Draft) -> float:
        """Share of the budget."""
        budget = draft.budget
        if budget.kind == "flops":
            return self.flops / budget.amount
        if budget.kind == "deadline":
            return self.hours / budget.amount
        return self.device_hours / (budget.device_hours or 1.0)


def cost_of(study: Study) -> Cost:
    """What the plan of a study counts."""
    tokens = planned_tokens(study)
    found = chosen(study, tokens, {})
    return Cost(sum(job.flops for job in jobs(study, tokens)), found.device_hours, found.makespan)


def filled(draft: Draft) -> tuple[Draft, Cost] | None:
    """The draft with as many tokens as its budget pays for by the plan; None where that is less than 90 % of it.

    Token budgets are scaled together, by bisection.
    """
    low, high = -REACH, REACH
    best: tuple[Draft, Cost] | None = None
    for _ in range(STEPS):
        middle = 0.5 * (low + high)
        tried = draft.scaled(exp(middle))
        if tried.epochs[-1] >= 1:  # the laws take runs of less than a pass and a bit: one that repeats is in none
            high = middle
            continue
        cost = cost_of(tried.study())
        share = cost.share(tried)
        if share <= MOST_SHARE:
            low = middle
            best = tried, cost
            if share >= AIM:
                break
        else:
            high = middle
    return best if best is not None and best[1].share(best[0]) >= LEAST_SHARE else None


def in_another(draft: Draft, precision: str) -> tuple[Cost, int]:
    """What the cells cost in another precision, and how many of them the budget of device-hours would pay for."""
    other = draft.in_precision(precision).study()
    cost, hours = cost_of(other), draft.budget.device_hours
    if hours is None or cost.device_hours <= hours:
        return cost, len(grid(other))
    config = other.config.model_copy(update={"budget_gpu_hours": hours, "hardware": _by_hours(other)})
    try:
        return cost, len(grid(within_budget(Study(config, other.models, other.subsets))))
    except InputError:  # not even the least grid that a law can use
        return cost, 0


def _by_hours(study: Study) -> Hardware:
    return study.config.hardware.model_copy(update={"deadline_hours": None})
