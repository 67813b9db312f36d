"""Reasons: every code has words, those that its sentence had before there were codes, and remedies go by code."""

import json
import re
from pathlib import Path

import pytest

from plmscale.laws import envelope_grid, size_transitions
from plmscale.laws.confidence.misfit import LEFT_OUT
from plmscale.laws.fit import Fit
from plmscale.presentation.reasons import WORDS, told, words
from plmscale.reasons import Reason
from plmscale.report.page.remedies import REMEDIES, WIDER, remedies

SOURCE = Path(__file__).parents[1] / "src/plmscale"
SPAN = {"name": "a", "low": 0.0057, "high": 0.677}
TERM = {"drop": 5.49, "limit": 9.54}
TEST = {"statistic": 4.04, "p": 0.0123, "ratio": 2.01}
SWEPT = {"rate": 0.01, "optimum": 0.002, "low": 0.001, "high": 0.004, "cost": 0.0123}

SENTENCES = [
    (Reason.in_words("as it was."), "as it was."),
    (Reason.of("no_curve"), "no run of this schedule has a curve."),
    (Reason.of("no_usable_run"), "there is no usable run."),
    (
        Reason.of("few_sizes", n_sizes=2, needed=3),
        "2 sizes; the law needs 3 to tell its size term from its floor.",
    ),
    (
        Reason.of("few_lengths", n_lengths=1, needed=3),
        "1 length of training; the law needs 3 to tell its token term from its floor.",
    ),
    (Reason.of("few_runs", n_runs=5, n_free=5), "5 runs for 5 parameters."),
    (Reason.of("no_resample", failed=0.625), "62 % of the resamples of the runs do not allow the fit at all."),
    (Reason.of("few_resamples", failed=0.2), "20 % of the resamples of the runs do not allow the fit."),
    (
        Reason("interval_void", SPAN | {"low": None}),
        "the interval of a, unbounded to 0.68, excludes next to nothing.",
    ),
    (Reason("interval_wide", SPAN), "the interval of a, 0.01 to 0.68, is wide."),
    (Reason("interval_has_zero", SPAN | {"low": -0.1}), "the interval of a, -0.10 to 0.68, contains zero."),
    (Reason("interval", SPAN), "the interval of a is 0.01 to 0.68."),
    (
        Reason.of("misfit", finding=Reason("structure", TEST | {"share": 0.31}), then=Reason("interval", SPAN)),
        "the law does not fit: a polynomial in log N and log D explains 31 % of its residuals (F = 4.0, p = 0.01). If "
        "it did, the interval of a is 0.01 to 0.68.",
    ),
    (
        Reason.of("misfit_besides", finding=Reason("misses_seeds", TEST), then=Reason("no_floor")),
        "the law does not fit: runs scatter about it by 2.0 times what another seed changes (F = 4.0, p = 0.01). "
        "Besides, the best floor E is zero: the data show no floor.",
    ),
    (
        Reason("structure", TEST | {"share": 0.31}),
        "a polynomial in log N and log D explains 31 % of its residuals (F = 4.0, p = 0.01)",
    ),
    (
        Reason("misses_budget", TEST | {"n_runs": 4}),
        "without the last doubling of compute it misses these 4 runs by 2.0 times what its own scatter allows "
        "(F = 4.0, p = 0.01)",
    ),
    (
        Reason("misses_size", TEST | {"n_runs": 4}),
        "without the largest size it misses these 4 runs by 2.0 times what its own scatter allows (F = 4.0, p = 0.01)",
    ),
    (
        Reason("misses_seeds", TEST),
        "runs scatter about it by 2.0 times what another seed changes (F = 4.0, p = 0.01)",
    ),
    (
        Reason.of("share_assumed", share=0.9, then=Reason("interval", SPAN)),
        "intervals assume that the runs of a trunk share 90 % of the variance of their noise; then the interval of a "
        "is 0.01 to 0.68.",
    ),
    (
        Reason.of(
            "stopped_by_schedule",
            n_stopped=3,
            n_runs=5,
            lowest=2.6951,
            highest=2.7108,
            least_rate=0.049,
            most_rate=0.0493,
        ),
        "the learning-rate schedule explains the plateau: 3 of 5 runs end flat, between 2.695 and 2.711 nats, with "
        "4.9 % to 4.9 % of their learning rate left; their ends tell when the rate was gone, not what size and tokens "
        "can reach.",
    ),
    (
        Reason("size_in_noise", TERM),
        "loss does not fall with size by more than its noise (drop 5.5, the term needs 9.5).",
    ),
    (
        Reason("tokens_in_noise", TERM),
        "loss does not fall with tokens by more than its noise (drop 5.5, the term needs 9.5).",
    ),
    (
        Reason("size_constant_open", TERM),
        "loss does not fall with size by more than its noise (drop 5.5, the term needs 9.5): its constant has no end.",
    ),
    (
        Reason("token_constant_open", TERM),
        "loss does not fall with tokens by more than its noise (drop 5.5, the term needs 9.5): its constant has no "
        "end.",
    ),
    (Reason.of("exponent_at_end", name="beta", value=2.99), "beta runs to the end of its range, 2.99."),
    (
        Reason.of("exponents_at_end"),
        "an exponent runs to the end of the range searched, its constant with it.",
    ),
    (Reason.of("no_floor"), "the best floor E is zero: the data show no floor."),
    (
        Reason.of("terms_trade", condition=1234.5),
        "parameters trade against each other (condition number 1234).",
    ),
    (
        Reason.of("constants_open", decades={"N_c": None, "D_c": 14.2}, limit=10.0),
        "95 % profile-likelihood interval: N_c has no end within 10 decades; D_c spans 14 decades.",
    ),
    (
        Reason.of("factor_wide", name="alpha_N", low=0.0213, high=0.0711),
        "the interval of alpha_N, 0.021 to 0.071, is wide.",
    ),
    (
        Reason.of("factor_wide", name="alpha_N", low=None, high=None),
        "the interval of alpha_N, without an end, is wide.",
    ),
    (Reason.of("constants_known", decades=1.74), "N_c and D_c are known within 1.7 decades."),
    (
        Reason.of("few_hand_overs", n_used=0, n_pairs=4, needed=3, most=Reason("pair_in_noise")),
        "0 of 4 pairs of neighbouring sizes hand over to each other on the envelope, the law needs 3; most often: the "
        "sizes do not differ by more than the noise on both sides.",
    ),
    (
        Reason.of("few_hand_overs", n_used=2, n_pairs=2, needed=3, most=None),
        "2 of 2 pairs of neighbouring sizes hand over to each other on the envelope, the law needs 3.",
    ),
    (
        Reason.of("few_common_sizes", needed=4, most=3),
        "no range of FLOPs in which 4 sizes were evaluated (at most 3).",
    ),
    (
        Reason.of("few_common_budgets", needed=4, n_budgets=2, needed_budgets=3, most=5),
        "4 sizes were evaluated together at 2 FLOPs, the law needs 3 such budgets (at most 5 sizes together).",
    ),
    (
        Reason.of("few_budgets", needed=4, needed_budgets=3, most=3, width=0.1),
        "the law needs 3 budgets with final losses of 4 sizes, from runs within 10 % of a budget or between the "
        "budgets of a size (at most 3 sizes ended at one budget).",
    ),
    (Reason.of("budget_not_asked"), "the study does not ask for this budget (`analysis.budgets`)."),
    (
        Reason.of("raised", error="LinAlgError", said="SVD did not converge"),
        "a fault of plmscale ended this fit, LinAlgError: SVD did not converge.",
    ),
    (
        Reason.of("rate_for_all", rate=1e-5, n_sizes=8, n_known=8, n_swept=0),
        "one learning rate, 10⁻⁵, for all 8 sizes: not shown to suit each size and length.",
    ),
    (
        Reason.of("rates_unknown", n_sizes=5, n_known=0),
        "no learning rate is given: nothing shows that it suited each size and length.",
    ),
    (
        Reason.of("few_valleys", n_good=1, n_budgets=9, needed=3, most=Reason("vertex_above")),
        "1 of 9 budgets have an interior optimum, the law needs 3; most often: vertex at or above the largest size.",
    ),
    (
        Reason.of("no_drop", initial=3.2134),
        "no run falls from the initial loss of 3.213 by more than the noise.",
    ),
    (
        Reason.of("no_last_doubling"),
        "no run has evaluations over a last doubling of its FLOPs below its initial loss.",
    ),
    (
        Reason.of("no_flat_run", share=0.0512, limit=0.02),
        "the curves do not flatten: in the flattest run the last doubling of FLOPs brought 5.1 % of the drop, a "
        "plateau has less than 2 %.",
    ),
    (
        Reason.of("plateau_above_start", plateau=3.2, initial=3.1),
        "the plateau, 3.200, is not below the initial loss, 3.100.",
    ),
    (
        Reason.of("few_reach", n_reach=2, n_sizes=5, loss=2.7321, needed=3, failed=0.05),
        "2 of 5 sizes reach 2.732 nats, the law needs 3; in 5 % of the resamples it has fewer.",
    ),
    (
        Reason.of("few_flat", n_runs=2, n_sizes=1),
        "flat are 2 runs of 1 size: too few to say that the others share their plateau.",
    ),
    (
        Reason.of("plateaus_differ", lowest=2.6, highest=2.75),
        "flat runs end between 2.600 and 2.750 nats: sizes have plateaus of their own, the common one is a convention.",
    ),
    (Reason.of("cost_exponent_wide"), "the interval of the exponent of FLOPs in size is wide."),
    (Reason.of("sizes_reach", n_sizes=5, loss=2.7321), "5 sizes reach 2.732 nats."),
    (Reason.of("no_repeats"), "no run has seen its training set more than once."),
    (
        Reason.of("repeats_unknown"),
        "the runs do not tell whether a repeated token is worth anything at all.",
    ),
    (
        Reason.of("repeats_penalised", drop=12.34, limit=4.2),
        "repeats cost more than this law has room for: with an additive penalty P sqrt(R) N/U it fits better (drop "
        "12.3, one term needs 4.2). r_d is that of the law without it.",
    ),
    (
        Reason.of("repeats_open_above", low=15.43),
        "r_d is at least 15, without an upper end: the runs do not show where repeats stop paying.",
    ),
    (Reason.of("repeats_open_below", high=15.43), "r_d is at most 15: repeats may be worth nothing."),
    (Reason.of("repeats_wide", low=1.54, high=30.1), "the interval of r_d is 1.5 to 30, wide."),
    (Reason.of("repeats_known", low=12.1, high=18.7), "the interval of r_d is 12 to 19."),
    (Reason.of("not_done", status="diverged"), "the run's status is 'diverged'"),
    (Reason.of("no_evaluation"), "no evaluation with a positive, finite loss"),
    (
        Reason.of("seen_again", epochs=4.0049),
        "its tokens were seen 4 times; the law takes every token for a new one",
    ),
    (
        Reason.of("beside_best_rate", best=0.002, rate=0.0005),
        "another learning rate of this size did better (0.002 instead of 5×10⁻⁴)",
    ),
    (Reason.of("no_run_here"), "no run was evaluated at these FLOPs"),
    (Reason.of("one_size_here"), "only one size was evaluated at these FLOPs"),
    (Reason.of("smallest_size_best"), "optimum at the smallest size evaluated at these FLOPs"),
    (Reason.of("largest_size_best"), "optimum at the largest size evaluated at these FLOPs"),
    (Reason.of("smaller_in_noise"), "no smaller size is worse by more than the noise"),
    (Reason.of("larger_in_noise"), "no larger size is worse by more than the noise"),
    (Reason.of("nowhere_together"), "both sizes were evaluated nowhere at the same FLOPs"),
    (Reason.of("smaller_always_better"), "the smaller size is better wherever both were evaluated"),
    (Reason.of("larger_always_better"), "the larger size is better wherever both were evaluated"),
    (Reason.of("pair_in_noise"), "the sizes do not differ by more than the noise on both sides"),
    (
        Reason.of("few_sizes_at_budget", n_sizes=3, needed=4),
        "3 sizes at this budget, a valley needs 4",
    ),
    (Reason.of("no_minimum_in_size"), "loss has no minimum in size"),
    (Reason.of("vertex_below"), "vertex at or below the smallest size"),
    (Reason.of("vertex_above"), "vertex at or above the largest size"),
    (Reason.of("rim_in_noise"), "a rim of the valley is not above its floor by more than the noise"),
    (Reason.of("level_before_start"), "its first evaluation is below the level"),
    (Reason.of("level_not_reached"), "the run does not reach the level"),
    (Reason.of("few_rates", n_rates=2, needed=3), "2 rates, an optimum needs 3"),
    (Reason.of("lowest_rate_best", rate=0.0004), "the lowest rate tried, 4×10⁻⁴, is the best"),
    (Reason.of("highest_rate_best", rate=0.001, failed=None), "the highest rate tried, 0.001, is the best"),
    (
        Reason.of("highest_rate_best", rate=0.001, failed=0.002),
        "the highest rate tried, 0.001, is the best; the next, 0.002, did not finish",
    ),
    (Reason.of("no_minimum_in_rate"), "loss has no minimum in the learning rate"),
    (Reason.of("vertex_beyond_rates"), "the vertex lies beyond the rates tried"),
    (
        Reason.of("few_optima", n_sizes=2, needed=3),
        "2 sizes have an optimum between the rates tried, the rule needs 3",
    ),
    (
        Reason.of("rate_unknown", sweep=Reason("vertex_beyond_rates")),
        "its best learning rate is not known, as the vertex lies beyond the rates tried; its fitted runs may be off.",
    ),
    (
        Reason("rate_off", SWEPT | {"swept": True}),
        "a fitted run has a learning rate of 0.01, the optimum by its own sweep is 0.0020 (0.0010–0.0040), which "
        "costs about 0.012 nats.",
    ),
    (
        Reason("rate_off", SWEPT | {"swept": False, "cost": None}),
        "a fitted run has a learning rate of 0.01, the optimum by the rule over sizes is 0.0020 (0.0010–0.0040).",
    ),
    (
        Reason.of("no_token_worth", status="not_identified"),
        "Chinchilla's law is not identified: nothing says what a token is worth",
    ),
    (Reason.of("beyond_tokens"), "the difference is beyond what any number of tokens could make"),
    (Reason.of("few_hand_overs_seen", n=2), "2 hand-overs"),
    (Reason.of("few_optima_seen", n=1), "1 different optima"),
    (Reason.of("law_not_identified"), "the law is not identified"),
    (
        Reason.of("few_sizes_for_interval", n_sizes=2, needed=3),
        "too few sizes for an interval: 2, 3 are needed",
    ),
]
"""What reasons said when each was a sentence of the module that found it."""

BY_KEYWORD = {
    "sizes smaller than the smallest, or more tokens for the larger ones": ("smallest size", "smaller size"),
    "sizes larger than the largest, or fewer tokens for the smaller ones": ("largest size", "larger size"),
    "more tokens, or more seeds, until sizes differ by more than the noise between runs": ("noise", "flat"),
    "more sizes at equal compute": (
        "a valley needs",
        "at most",
        "nowhere at the same",
        "one size",
        "no range of FLOPs",
    ),
    "sizes further apart": ("fall with size",),
    "training sets further apart in tokens": ("fall with tokens",),
    "more runs over wider ranges": ("interval", "trade against", "decades", "end of its range", "points"),
}
"""Remedies as they were found before, by searching the sentence of a verdict of the laws that give sizes."""

VERDICTS_WITHOUT_SIZES = [
    "few_sizes", "few_lengths", "few_runs", "no_resample", "interval_void", "stopped_by_schedule", "size_in_noise",
    "tokens_in_noise", "exponent_at_end", "few_hand_overs", "few_common_sizes", "few_valleys", "no_usable_run",
]  # fmt: skip


@pytest.mark.parametrize(("reason", "sentence"), SENTENCES, ids=[one.code for one, _ in SENTENCES])
def test_every_code_says_what_its_sentence_said(reason, sentence):
    assert words(reason) == sentence
    assert words(Reason.from_json(reason.to_json())) == sentence


def test_every_code_is_tested():
    assert {one.code for one, _ in SENTENCES} == set(WORDS)


def test_every_code_that_the_code_names_has_words():
    named = {code for path in SOURCE.rglob("*.py") for code in _codes(path.read_text(encoding="utf-8"))}
    named |= {code for code in (*envelope_grid.CODES, *size_transitions.CODES) if code}
    named |= {f"misses_{what}" for what in LEFT_OUT} | {code for codes in REMEDIES.values() for code in codes}
    assert named <= set(WORDS) and len(named) > 60


def _codes(text: str) -> list[str]:
    called = re.findall(r'Reason(?:\.of)?\(\s*"(\w+)"(?: if [^"]* else "(\w+)")?', text)
    terms = re.findall(r'"(?:without_size_term|without_token_term)", "(\w+)"', text)
    return [code for pair in called for code in pair if code] + [code for code in terms if not code.startswith("n_")]


def test_codes_of_reasons_within_a_reason_are_found():
    reason = Reason.of("share_assumed", share=0.9, then=Reason.of("misfit", finding=Reason("structure"), then="x"))
    assert reason.codes == ("share_assumed", "misfit", "structure")


def test_a_row_holds_words_code_and_values():
    assert told(Reason.of("not_done", status="diverged")) == {
        "reason": "the run's status is 'diverged'",
        "code": "not_done",
        "values": {"status": "diverged"},
    }


def test_a_fit_carries_its_reason_as_words_and_as_data():
    why = Reason.of("few_valleys", n_good=1, n_budgets=9, needed=3, most=Reason("vertex_above"))
    fit = Fit("isoflop", "not_identified", why, {}, points=[], excluded=[])
    held = fit.to_json()
    assert held["reason"] == words(why) and held["why"]["values"]["most"]["code"] == "vertex_above"
    assert Fit.from_json(json.loads(json.dumps(held))) == fit


def test_a_fit_without_codes_still_reads_and_says_the_same():
    old = {"name": "kaplan", "status": "not_identified", "reason": "as it was.", "estimates": {}, "points": []}
    fit = Fit.from_json(old)
    assert fit.reason == "as it was." and fit.why == Reason.in_words("as it was.")
    assert remedies([fit.why]) == [WIDER]


def test_remedies_by_code_are_those_that_were_found_by_keyword():
    cases = [one for one in SENTENCES if one[0].code in VERDICTS_WITHOUT_SIZES]
    for most in ("nowhere_together", "smaller_always_better", "larger_always_better", "pair_in_noise"):
        reason = Reason.of("few_hand_overs", n_used=0, n_pairs=4, needed=3, most=Reason(most))
        cases.append((reason, words(reason)))
    for most in ("few_sizes_at_budget", "no_minimum_in_size", "vertex_below", "vertex_above", "rim_in_noise"):
        inner = next(one for one, _ in SENTENCES if one.code == most)
        reason = Reason.of("few_valleys", n_good=0, n_budgets=9, needed=3, most=inner)
        cases.append((reason, words(reason)))
    for reason, sentence in cases:
        before = [what for what, keys in BY_KEYWORD.items() if any(key in sentence for key in keys)][:2]
        assert remedies([reason]) == (before or [WIDER]), reason.code
