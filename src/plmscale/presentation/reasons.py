"""The words of every reason, by its code."""

from collections.abc import Callable, Mapping
from string import Formatter
from typing import Any

from ..estimates import Estimate
from ..reasons import Reason
from .formats import STATUS_WORDS, compact, counted, number, per_cent, with_interval

Words = str | Callable[[Mapping[str, Any]], str]


def words(reason: Reason) -> str:
    """A reason as a sentence, or as the part of one.

    Examples
    --------
    >>> words(Reason.of("few_runs", n_runs=5, n_free=5))
    '5 runs for 5 parameters.'
    """
    values = {key: words(one) if isinstance(one, Reason) else one for key, one in reason.values.items()}
    found = WORDS[reason.code]
    return _Worded().vformat(found, (), values) if isinstance(found, str) else found(values)


class _Worded(Formatter):
    """Numbers as everywhere: in per cent (`.1%`), to so many digits (`.2g`), and counts of things (`size`)."""

    def format_field(self, value: Any, format_spec: str) -> str:
        """One value."""
        if format_spec.isalpha():
            return counted(value, format_spec)
        digits = format_spec[1:-1]
        if format_spec.endswith("%"):
            return per_cent(value, decimals=int(digits))
        return compact(value, digits=int(digits)) if format_spec.endswith("g") else format(value, format_spec)


def _span(values: Mapping[str, Any]) -> str:
    """The interval of an exponent."""
    low, high = ("unbounded" if values[end] is None else f"{values[end]:.2f}" for end in ("low", "high"))
    return f"the interval of {values['name']}, {low} to {high},"


def _interval_void(values: Mapping[str, Any]) -> str:
    return f"{_span(values)} excludes next to nothing."


def _interval_wide(values: Mapping[str, Any]) -> str:
    return f"{_span(values)} is wide."


def _interval_has_zero(values: Mapping[str, Any]) -> str:
    return f"{_span(values)} contains zero."


def _constants_open(values: Mapping[str, Any]) -> str:
    limit = values["limit"]
    said = [
        f"{key} has no end within {limit:.0f} decades" if decades is None else f"{key} spans {decades:.0f} decades"
        for key, decades in values["decades"].items()
    ]
    return f"95 % profile-likelihood interval: {'; '.join(said)}."


def _factor_wide(values: Mapping[str, Any]) -> str:
    low, high = values["low"], values["high"]
    span = "without an end" if low is None or high is None else f"{compact(low, digits=2)} to {compact(high, digits=2)}"
    return f"the interval of {values['name']}, {span}, is wide."


def _few_hand_overs(values: Mapping[str, Any]) -> str:
    most = f"; most often: {values['most']}" if values["most"] else ""
    return (
        f"{values['n_used']} of {values['n_pairs']} pairs of neighbouring sizes hand over to each other on the "
        f"envelope, the law needs {values['needed']}{most}."
    )


def _highest_rate_best(values: Mapping[str, Any]) -> str:
    also = "" if values["failed"] is None else f"; the next, {compact(values['failed'])}, did not finish"
    return f"the highest rate tried, {compact(values['rate'])}, is the best{also}"


def _rate_for_all(values: Mapping[str, Any]) -> str:
    swept = f", {values['n_swept']} of them swept" if values["n_swept"] else ""
    whom = f"one learning rate, {compact(values['rate'])}, for all {values['n_sizes']} sizes{swept}"
    return f"{whom}: not shown to suit each size and length."


def _rates_unknown(values: Mapping[str, Any]) -> str:
    some = f" of {values['n_sizes'] - values['n_known']} of {values['n_sizes']} sizes" if values["n_known"] else ""
    return f"no learning rate{some} is given: nothing shows that it suited each size and length."


def _rate_off(values: Mapping[str, Any]) -> str:
    cost = "" if values["cost"] is None else f", which costs about {number(values['cost'], digits=2)} nats"
    optimum = with_interval(Estimate(*(values[key] for key in ("optimum", "low", "high"))))
    source = "its own sweep" if values["swept"] else "the rule over sizes"
    return f"a fitted run has a learning rate of {compact(values['rate'])}, the optimum by {source} is {optimum}{cost}."


def _no_verdict(values: Mapping[str, Any]) -> str:
    return f"Chinchilla's law is {STATUS_WORDS[values['status']]}: nothing says what a token is worth"


_NOISE = "by more than its noise (drop {drop:.1f}, the term needs {limit:.1f})"
_TEST = "(F = {statistic:.1f}, p = {p:.1g})"
_BEYOND = f"it misses these {{n_runs}} runs by {{ratio:.1f}} times what its own scatter allows {_TEST}"

ANY_LAW: dict[str, Words] = {
    "in_words": "{sentence}",
    "raised": "a fault of plmscale ended this fit, {error}: {said}.",
    "no_curve": "no run of this schedule has a curve.",
    "no_usable_run": "there is no usable run.",
    "few_sizes": "{n_sizes:size}; the law needs {needed} to tell its size term from its floor.",
    "few_lengths": "{n_lengths:length} of training; the law needs {needed} to tell its token term from its floor.",
    "few_runs": "{n_runs:run} for {n_free:parameter}.",
    "no_resample": "{failed:.0%} of the resamples of the runs do not allow the fit at all.",
    "few_resamples": "{failed:.0%} of the resamples of the runs do not allow the fit.",
    "interval_void": _interval_void,
    "interval_wide": _interval_wide,
    "interval_has_zero": _interval_has_zero,
    "interval": "the interval of {name} is {low:.2f} to {high:.2f}.",
    "misfit": "the law does not fit: {finding}. If it did, {then}",
    "misfit_besides": "the law does not fit: {finding}. Besides, {then}",
    "structure": f"a polynomial in log N and log D explains {{share:.0%}} of its residuals {_TEST}",
    "misses_budget": f"without the last doubling of compute {_BEYOND}",
    "misses_size": f"without the largest size {_BEYOND}",
    "misses_seeds": f"runs scatter about it by {{ratio:.1f}} times what another seed changes {_TEST}",
    "share_assumed": (
        "intervals assume that the runs of a trunk share {share:.0%} of the variance of their noise; then {then}"
    ),
    "stopped_by_schedule": (
        "the learning-rate schedule explains the plateau: {n_stopped} of {n_runs} runs end flat, between {lowest:.3f} "
        "and {highest:.3f} nats, with {least_rate:.1%} to {most_rate:.1%} of their learning rate left; their ends tell "
        "when the rate was gone, not what size and tokens can reach."
    ),
}
"""Of verdicts that several laws can give."""

ONE_LAW: dict[str, Words] = {
    "size_in_noise": f"loss does not fall with size {_NOISE}.",
    "tokens_in_noise": f"loss does not fall with tokens {_NOISE}.",
    "size_constant_open": f"loss does not fall with size {_NOISE}: its constant has no end.",
    "token_constant_open": f"loss does not fall with tokens {_NOISE}: its constant has no end.",
    "exponent_at_end": "{name} runs to the end of its range, {value:.3g}.",
    "exponents_at_end": "an exponent runs to the end of the range searched, its constant with it.",
    "no_floor": "the best floor E is zero: the data show no floor.",
    "terms_trade": "parameters trade against each other (condition number {condition:.0f}).",
    "constants_open": _constants_open,
    "factor_wide": _factor_wide,
    "constants_known": "N_c and D_c are known within {decades:.1f} decades.",
    "few_hand_overs": _few_hand_overs,
    "few_common_sizes": "no range of FLOPs in which {needed} sizes were evaluated (at most {most}).",
    "few_common_budgets": (
        "{needed} sizes were evaluated together at {n_budgets} FLOPs, the law needs {needed_budgets} such budgets (at "
        "most {most} sizes together)."
    ),
    "few_budgets": (
        "the law needs {needed_budgets} budgets with final losses of {needed} sizes, from runs within {width:.0%} of a "
        "budget or between the budgets of a size (at most {most} sizes ended at one budget)."
    ),
    "few_valleys": (
        "{n_good} of {n_budgets} budgets have an interior optimum, the law needs {needed}; most often: {most}."
    ),
    "no_drop": "no run falls from the initial loss of {initial:.3f} by more than the noise.",
    "no_last_doubling": "no run has evaluations over a last doubling of its FLOPs below its initial loss.",
    "no_flat_run": (
        "the curves do not flatten: in the flattest run the last doubling of FLOPs brought {share:.1%} of the drop, a "
        "plateau has less than {limit:.0%}."
    ),
    "plateau_above_start": "the plateau, {plateau:.3f}, is not below the initial loss, {initial:.3f}.",
    "few_reach": (
        "{n_reach} of {n_sizes} sizes reach {loss:.3f} nats, the law needs {needed}; in {failed:.0%} of the resamples "
        "it has fewer."
    ),
    "few_flat": "flat are {n_runs:run} of {n_sizes:size}: too few to say that the others share their plateau.",
    "plateaus_differ": (
        "flat runs end between {lowest:.3f} and {highest:.3f} nats: sizes have plateaus of their own, the common one "
        "is a convention."
    ),
    "cost_exponent_wide": "the interval of the exponent of FLOPs in size is wide.",
    "sizes_reach": "{n_sizes} sizes reach {loss:.3f} nats.",
    "no_repeats": "no run has seen its training set more than once.",
    "repeats_unknown": "the runs do not tell whether a repeated token is worth anything at all.",
    "repeats_penalised": (
        "repeats cost more than this law has room for: with an additive penalty P sqrt(R) N/U it fits better (drop "
        "{drop:.1f}, one term needs {limit:.1f}). r_d is that of the law without it."
    ),
    "repeats_open_above": (
        "r_d is at least {low:.2g}, without an upper end: the runs do not show where repeats stop paying."
    ),
    "repeats_open_below": "r_d is at most {high:.2g}: repeats may be worth nothing.",
    "repeats_wide": "the interval of r_d is {low:.2g} to {high:.2g}, wide.",
    "repeats_known": "the interval of r_d is {low:.2g} to {high:.2g}.",
}
"""Of verdicts of one law, or of laws of one kind."""

LEFT_OUT: dict[str, Words] = {
    "not_done": "the run's status is {status!r}",
    "no_evaluation": "no evaluation with a positive, finite loss",
    "seen_again": "its tokens were seen {epochs:.3g} times; the law takes every token for a new one",
    "beside_best_rate": "another learning rate of this size did better ({best:.4g} instead of {rate:.4g})",
    "no_run_here": "no run was evaluated at these FLOPs",
    "one_size_here": "only one size was evaluated at these FLOPs",
    "smallest_size_best": "optimum at the smallest size evaluated at these FLOPs",
    "largest_size_best": "optimum at the largest size evaluated at these FLOPs",
    "smaller_in_noise": "no smaller size is worse by more than the noise",
    "larger_in_noise": "no larger size is worse by more than the noise",
    "nowhere_together": "both sizes were evaluated nowhere at the same FLOPs",
    "smaller_always_better": "the smaller size is better wherever both were evaluated",
    "larger_always_better": "the larger size is better wherever both were evaluated",
    "pair_in_noise": "the sizes do not differ by more than the noise on both sides",
    "few_sizes_at_budget": "{n_sizes:size} at this budget, a valley needs {needed}",
    "no_minimum_in_size": "loss has no minimum in size",
    "vertex_below": "vertex at or below the smallest size",
    "vertex_above": "vertex at or above the largest size",
    "rim_in_noise": "a rim of the valley is not above its floor by more than the noise",
    "level_before_start": "its first evaluation is below the level",
    "level_not_reached": "the run does not reach the level",
}
"""Of runs and points that a law leaves out."""

BESIDE_LAWS: dict[str, Words] = {
    "few_rates": "{n_rates} rates, an optimum needs {needed}",
    "lowest_rate_best": "the lowest rate tried, {rate:.3g}, is the best",
    "highest_rate_best": _highest_rate_best,
    "no_minimum_in_rate": "loss has no minimum in the learning rate",
    "vertex_beyond_rates": "the vertex lies beyond the rates tried",
    "few_optima": "{n_sizes} sizes have an optimum between the rates tried, the rule needs {needed}",
    "rate_unknown": "its best learning rate is not known, as {sweep}; its fitted runs may be off.",
    "rate_off": _rate_off,
    "rate_for_all": _rate_for_all,
    "rates_unknown": _rates_unknown,
    "no_token_worth": _no_verdict,
    "beyond_tokens": "the difference is beyond what any number of tokens could make",
    "budget_not_asked": "the study does not ask for this budget (`analysis.budgets`).",
    "few_hand_overs_seen": "{n} hand-overs",
    "few_optima_seen": "{n} different optima",
    "law_not_identified": "the law is not identified",
    "few_sizes_for_interval": "too few sizes for an interval: {n_sizes}, {needed} are needed",
}
"""Of learning rates, of what the tokens of a set are worth, and of what the paper asks and a study does not."""

WORDS: dict[str, Words] = ANY_LAW | ONE_LAW | LEFT_OUT | BESIDE_LAWS
"""What each code says: a format, or a function of the values."""


def told(reason: Reason | None) -> dict[str, Any]:
    """A reason as the keys of a row: `reason`, its words, with `code`, and `values` where it has any.

    Examples
    --------
    >>> told(Reason.of("level_not_reached")), told(None)
    ({'reason': 'the run does not reach the level', 'code': 'level_not_reached'}, {'reason': ''})
    """
    if reason is None:
        return {"reason": ""}
    values = reason.to_json()["values"]
    return {"reason": words(reason), "code": reason.code} | ({"values": values} if values else {})
