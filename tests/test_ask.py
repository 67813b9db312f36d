"""`plmscale ask`: worked questions to laws with known answers, against closed forms and an optimiser of scipy's."""

import json
import math
import time

import numpy as np
import pytest
from scipy.optimize import brentq, minimize_scalar

from conftest import ROOT
from plmscale.api.fit import fit
from plmscale.api.laws import Laws
from plmscale.ask.ask import ask
from plmscale.ask.asked_law import AskedLaw
from plmscale.ask.optima import Search
from plmscale.ask.sources import of_published, read_law, six_n
from plmscale.ask.surfaces import Chinchilla, Kaplan
from plmscale.cli.main import main
from plmscale.errors import InputError
from plmscale.laws.loss_law import kaplan_loss
from plmscale.laws.proteins.table import CONSTANTS, names, protein_law
from plmscale.laws.solvers.chinchilla import ChinchillaLaw
from plmscale.plan.hardware.device_types import DEVICE_TYPES
from plmscale.plan.hardware.utilisation import UTILISATION
from plmscale.presentation.formats import short
from plmscale.runs.extent import EXTRAPOLATED, INSIDE, Extent
from scaling_data import chinchilla, make_runs

HOFFMANN = ChinchillaLaw(E=1.69, A=406.4, B=410.7, alpha=0.336, beta=0.283, objective=math.nan)
"""Hoffmann et al. 2022, appendix D.3: exponents 0.34 and 0.28, here to three digits."""

WIDE = Extent((1e7, 1e11), (1e8, 1e13), (1e16, 1e25))


def law_of(*laws: ChinchillaLaw, seen: Extent = WIDE) -> AskedLaw:
    """A law with resamples that are what they are told to be."""
    with np.errstate(divide="ignore"):
        logs = [[*np.log(law[:3]), *law[3:5]] for law in laws]
    words = dict.fromkeys(("name", "title", "status", "reason", "interval", "convention"), "known")
    return AskedLaw(**words, seen=seen, cost=six_n, fit="chinchilla", constants=np.array(logs))


KNOWN = law_of(HOFFMANN, HOFFMANN, HOFFMANN)


def optimum(law: ChinchillaLaw, flops: float) -> float:
    """Hoffmann et al. 2022, equation 4."""
    scale = (law.alpha * law.A / (law.beta * law.B)) ** (1 / (law.alpha + law.beta))
    return scale * (flops / 6) ** law.size_exponent


def sardana(law: ChinchillaLaw, loss: float, served: float) -> tuple[float, float, float]:
    """Size, tokens and FLOPs by scipy, of Sardana et al. 2023, equation 3: 6ND + 2N T at this loss."""

    def tokens(log_n: float) -> float:
        rest = loss - law.E - law.A * math.exp(-law.alpha * log_n)
        return (law.B / rest) ** (1 / law.beta) if rest > 0 else math.inf

    smallest = math.log(law.A / (loss - law.E)) / law.alpha
    found = minimize_scalar(
        lambda x: x + math.log(6 * tokens(x) + 2 * served),
        bounds=(smallest + 1e-6, smallest + 20),
        method="bounded",
        options={"xatol": 1e-10},
    )
    return math.exp(found.x), tokens(found.x), math.exp(found.fun)


# Ten worked questions -------------------------------------------------------------------------------------------------


def test_1_a_budget_gives_hoffmanns_closed_form():
    answer = ask(KNOWN, flops=1e22)
    size = optimum(HOFFMANN, 1e22)
    assert answer["n_params"].value == pytest.approx(size, rel=1e-6)
    assert answer["n_tokens"].value == pytest.approx(1e22 / 6 / size, rel=1e-6)
    assert answer["loss"].value == pytest.approx(float(HOFFMANN.loss(size, 1e22 / 6 / size)), rel=1e-12)
    assert answer.position == INSIDE and answer.beyond == {"n_params": 0, "n_tokens": 0, "flops": 0}


def test_2_a_loss_gives_the_least_compute_that_the_budget_would_have_bought():
    loss = ask(KNOWN, flops=3e21)["loss"].value
    answer = ask(KNOWN, loss=loss)
    assert answer["flops"].value == pytest.approx(3e21, rel=1e-6)
    assert answer["n_params"].value == pytest.approx(optimum(HOFFMANN, 3e21), rel=1e-4)


def test_3_a_size_and_its_tokens_cost_6nd_and_reach_the_laws_loss():
    answer = ask(KNOWN, params="650M", tokens="100B")
    assert answer["flops"].value == 6 * 650e6 * 100e9
    assert answer["loss"].value == pytest.approx(float(HOFFMANN.loss(650e6, 100e9)), rel=1e-12)
    assert answer["tokens_per_param"].value == pytest.approx(100e9 / 650e6)


def test_4_a_size_and_a_budget_give_the_tokens():
    answer = ask(KNOWN, params=1e9, flops=6e20)
    assert answer["n_tokens"].value == pytest.approx(1e11, rel=1e-12)
    assert answer["n_tokens"].low is None, "no law has to find what is given"


def test_5_tokens_and_a_budget_give_the_size():
    answer = ask(KNOWN, tokens=1e11, flops=6e20)
    assert answer["n_params"].value == pytest.approx(1e9, rel=1e-9)


def test_6_a_size_and_a_loss_give_the_tokens():
    loss = float(HOFFMANN.loss(1e9, 5e10))
    answer = ask(KNOWN, params=1e9, loss=loss)
    assert answer["n_tokens"].value == pytest.approx(5e10, rel=1e-9)
    assert ask(KNOWN, tokens=5e10, loss=loss)["n_params"].value == pytest.approx(1e9, rel=1e-9)


def test_7_device_hours_days_and_money_are_the_same_compute():
    speed = DEVICE_TYPES["H100"].bf16 * 1e12 * UTILISATION["bf16"]
    hours = ask(KNOWN, device_hours=500, device="h100", precision="bf16", price=2.5)
    assert hours["flops"].value == pytest.approx(500 * 3600 * speed, rel=1e-12)
    assert hours["money"].value == pytest.approx(1250)
    money = ask(KNOWN, money=1250, price=2.5, device="H100", precision="bf16")
    days = ask(KNOWN, days=500 / 24, devices=1, device="H100", precision="bf16")
    for other in (money, days):
        assert other["n_params"].value == pytest.approx(hours["n_params"].value, rel=1e-9)
    eight = ask(KNOWN, days=500 / 24 / 8, devices=8, device="H100", precision="bf16")
    assert eight["flops"].value == pytest.approx(0.95**3 * 500 * 3600 * speed, rel=1e-12)
    assert eight["days"].value == pytest.approx(500 / 24 / 8) and eight["device_hours"].value == pytest.approx(500)


def test_8_serving_makes_the_model_smaller_as_sardana_say():
    """A 13B model of Chinchilla's quality, served 2T tokens: a 7B one saves 1.7e22 FLOPs, 17 % (their figure 1)."""
    flops = brentq(lambda c: optimum(HOFFMANN, c) - 13e9, 1e20, 1e25)
    loss = float(HOFFMANN.loss(13e9, flops / 6 / 13e9))
    answer = ask(KNOWN, loss=loss, served_tokens="2T")
    for key, value in zip(("n_params", "n_tokens", "total_flops"), sardana(HOFFMANN, loss, 2e12), strict=True):
        assert answer[key].value == pytest.approx(value, rel=1e-4), key
    chinchillas = flops + 2 * 13e9 * 2e12
    saved = chinchillas - answer["total_flops"].value
    assert answer["n_params"].value == pytest.approx(7e9, rel=0.07)
    assert saved == pytest.approx(1.7e22, rel=0.05) and saved / chinchillas == pytest.approx(0.17, abs=0.005)
    assert answer["served_flops"].value == pytest.approx(2 * answer["n_params"].value * 2e12)


def test_9_a_budget_of_training_and_serving_is_the_other_side_of_the_same():
    target = ask(KNOWN, loss=2.2, served_tokens=1e12)
    answer = ask(KNOWN, flops=target["total_flops"].value, served_tokens=1e12)
    assert answer["loss"].value == pytest.approx(2.2, abs=1e-8)
    assert answer["n_params"].value == pytest.approx(target["n_params"].value, rel=1e-3)


def test_10_data_give_passes_and_with_a_size_one_pass():
    answer = ask(KNOWN, flops=6e20, sequences="64M")
    assert answer["passes"].value == pytest.approx(answer["n_tokens"].value / (64e6 * 327))
    one = ask(KNOWN, params=35e6, residues=6.5e9)
    assert one["n_tokens"].value == pytest.approx(6.5e9 * 327 / 325)
    assert "One pass over the data is assumed" in " ".join(one.notes)
    four = ask(KNOWN, params=35e6, sequences=20e6, passes=4)
    assert four["n_tokens"].value == pytest.approx(4 * 20e6 * 327)
    assert "seen 4.00 times" in " ".join(four.notes)


# Intervals, distances, refusals ---------------------------------------------------------------------------------------


def test_intervals_are_percentiles_over_the_laws_of_the_resamples():
    laws = [HOFFMANN._replace(alpha=alpha) for alpha in np.linspace(0.33, 0.34, 41)]
    answer = ask(law_of(HOFFMANN, *laws), flops=1e22)
    low, high = np.quantile([optimum(law, 1e22) for law in laws], [0.025, 0.975])
    assert (answer["n_params"].low, answer["n_params"].high) == pytest.approx((low, high), rel=1e-5)
    size, tokens = answer["n_params"].value, answer["n_tokens"].value
    ends = np.quantile([float(law.loss(size, tokens)) for law in laws], [0.025, 0.975])
    assert (answer["loss"].low, answer["loss"].high) == pytest.approx(tuple(ends), rel=1e-9)


def test_distances_are_decades_of_n_of_d_and_of_c():
    seen = Extent((1e8, 1e9), (1e9, 1e10), (6e17, 6e19))
    answer = ask(law_of(HOFFMANN, HOFFMANN, seen=seen), params=2e9, tokens=1e11)
    assert answer.position == EXTRAPOLATED
    far = {"n_params": math.log10(2), "n_tokens": 1.0, "flops": math.log10(12e20 / 6e19)}
    assert answer.beyond == pytest.approx(far)
    assert "extrapolated, +0.3 in N, +1.0 in D, +1.3 in C" in str(answer)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "nothing is given. Give a budget (--flops"),
        ({"params": 1e9}, "--params alone leaves the rest open. Add --tokens"),
        ({"tokens": 1e9}, "--tokens alone leaves the rest open. Add --params"),
        ({"sequences": 1e7}, "the data alone leave the rest open. Add a budget"),
        ({"params": 1e9, "tokens": 1e10, "flops": 1e21}, "N and D take 6.00×10¹⁹ FLOPs, and 10²¹ were given"),
        ({"params": 1e9, "tokens": 1e10, "loss": 2.5}, "are more than a run needs: two of them give the rest"),
        ({"flops": 1e21, "money": 100, "price": 2, "device": "H100"}, "--flops and --money each fix the compute"),
        ({"device_hours": 10}, "--device-hours needs a device: add --device, one of V100-16GB"),
        ({"device_hours": -5, "device": "H100"}, "--device-hours is -5; it must be one positive number, such as 500"),
        ({"flops": "lots"}, "--flops is 'lots'; it must be one positive number, such as 1e21"),
        ({"flops": math.nan}, "--flops is nan; it must be one positive number"),
        ({"device_hours": 5, "device": "H10"}, "'H10' is no known type. Did you mean H100 or"),
        ({"device_hours": 5, "device": "V100-16GB", "precision": "bf16"}, "which V100-16GB does not compute in"),
        ({"device_hours": 5, "device": "H100", "precision": "fp8"}, "--precision is 'fp8'; choose one of fp32"),
        ({"days": 5, "device": "H100"}, "--days are days on how many devices? Add --devices"),
        ({"days": 5, "devices": 1.5, "device": "H100"}, "--devices is 1.5; it must be a whole number"),
        ({"money": 5, "device": "H100"}, "--money buys device-hours at which price? Add --price"),
        ({"flops": 1e21, "utilisation": 35, "device": "H100"}, "--utilisation is 35; it is a share"),
        (
            {"flops": 1e21, "peak_flops": 1e3},
            "peak_flops: Input should be greater than or equal to 1000000; found 1000",
        ),
        ({"flops": 1e21, "passes": 2}, "--passes over which data? Add --sequences or --residues"),
        ({"sequences": 1e7, "residues": 1e9, "flops": 1e20}, "both say how much data there is. Leave one out"),
        ({"tokens": 1e9, "sequences": 1e7, "passes": 1, "flops": 1e20}, "both fix the tokens seen: 1B, and 3.27B"),
        ({"loss": 1.5}, "no run reaches 1.5 nats under this law, whose loss stays above E = 1.69"),
        (
            {"params": 1e8, "loss": 1.8},
            "with N = 100M parameters this law never reaches 1.8 nats: its loss stays",
        ),
        ({"flops": 1e21, "loss": 2.1}, "the lowest loss is"),
        ({"flops": 1e22, "loss": 2.5}, "reaches 2.5 nats with at most 10²² FLOPs. Leave --loss out"),
        ({"flops": 1e29}, "outside what the law knows: its optimum is at N = "),
        ({"flops": 6e20, "params": 1e9, "served_tokens": 1e15}, "more than the budget"),
        ({"flop": 1e21}, "there is no quantity 'flop'. Did you mean 'flops'?"),
    ],
)
def test_what_cannot_be_answered_says_what_would_be_right(given, words):
    with pytest.raises(InputError) as error:
        ask(KNOWN, **given)
    assert words in str(error.value)


def test_a_run_outside_is_refused_with_the_distance_and_the_budgets_that_are_known():
    with pytest.raises(InputError, match=r"the runs end \d\.\d decades below\. It answers for budgets from") as error:
        ask(of_published(), flops=1e27)
    least, most = (float(x.replace("×10", "e").translate(str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")))
                   for x in str(error.value).rpartition("from ")[2].removesuffix(" FLOPs.").split(" to "))  # fmt: skip
    for flops in (1.05 * least, 0.95 * most):
        assert ask(of_published(), flops=flops).sentence
    for flops in (0.8 * least, 1.2 * most):
        with pytest.raises(InputError, match="outside what the law knows"):
            ask(of_published(), flops=flops)


# Surfaces and searches ------------------------------------------------------------------------------------------------


def test_kaplans_surface_is_kaplans_law_and_its_inverse():
    constants = {"alpha_N": 0.076, "alpha_D": 0.095, "log10_N_c": 13.94, "log10_D_c": 13.73}
    logs = [math.log(0.076), math.log(0.095), 13.94 * math.log(10), 13.73 * math.log(10)]
    surface = Kaplan(np.array([logs, logs]))
    n, d = np.array([1e8, 1e9]), np.array([1e10, 1e11])
    loss = kaplan_loss(n, d, constants=constants)
    assert surface.loss(n, d)[1] == pytest.approx(loss, rel=1e-12)
    assert surface.tokens(n, float(loss[0]))[0, 0] == pytest.approx(1e10, rel=1e-9)
    assert surface.params(d, float(loss[1]))[0, 1] == pytest.approx(1e9, rel=1e-9)
    assert np.isinf(surface.tokens(1e6, 1.5)).all()


def test_searches_hold_at_costs_that_are_no_power_of_the_size():
    """A cost with a part that does not grow with N: scipy finds the same optimum."""

    def cost(n):
        return 6 * np.asarray(n, dtype=float) + 3e9

    surface = Chinchilla(np.array([[*np.log(HOFFMANN[:3]), *HOFFMANN[3:5]]]))
    found = Search(cost, WIDE.n_params).lowest_loss(surface, 1e22)[0]
    best = minimize_scalar(
        lambda x: float(HOFFMANN.loss(math.exp(x), 1e22 / cost(math.exp(x)))),
        bounds=(15, 30),
        method="bounded",
        options={"xatol": 1e-9},
    )
    assert found == pytest.approx(math.exp(best.x), rel=1e-4)


# Sources --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fitted() -> Laws:
    sizes = tuple(np.geomspace(3e4, 2e6, 7).round())
    runs = make_runs(chinchilla, sizes=sizes, tokens=(1e6, 3e6, 1e7, 3e7, 1e8), noise=0.002, n_rows=30)
    columns = ["run", "n_params", "n_tokens", "loss"]
    return fit(runs[columns], laws=["envelope", "chinchilla", "kaplan"], bootstrap=60)


def test_ones_own_law_answers_as_the_api_does(fitted):
    flops = 1e13
    answer = fitted.ask(flops=flops)
    assert answer.law["fit"] == "chinchilla"
    size = fitted.n_opt(flops, law="chinchilla")
    assert answer["n_params"].value == pytest.approx(size.value, rel=5e-3)
    assert (answer["n_params"].low, answer["n_params"].high) == pytest.approx((size.low, size.high), rel=5e-3)
    loss = fitted.predict(n_params=answer["n_params"].value, n_tokens=answer["n_tokens"].value, law="chinchilla")
    assert (answer["loss"].value, answer["loss"].low) == pytest.approx((loss.value, loss.low), rel=1e-9)
    kaplans = fitted.ask(params=1e5, tokens=1e7, law="kaplan")["loss"]
    theirs = fitted.predict(n_params=1e5, n_tokens=1e7, law="kaplan")
    assert (kaplans.value, kaplans.high) == pytest.approx((theirs.value, theirs.high), rel=1e-9)


def test_other_laws_of_the_same_runs_are_named_beside_the_answer(fitted):
    rival = fitted.n_opt(1e13, law="envelope")
    notes = " ".join(fitted.ask(flops=1e13).notes)
    assert f"Envelope, identified, has N = {short(rival.value)} (" in notes and "(--fit envelope)" in notes
    assert "envelope" not in " ".join(fitted.ask(params=1e5, tokens=1e7).notes)


def test_a_law_of_the_size_alone_answers_budgets_and_no_losses(fitted):
    answer = fitted.ask(flops=1e13, law="envelope")
    assert answer["n_params"].value == fitted.n_opt(1e13, law="envelope").value
    assert "loss" not in answer
    with pytest.raises(InputError, match="gives the optimal size of a budget and no loss"):
        fitted.ask(loss=2.5, law="envelope")
    with pytest.raises(InputError, match="'plateau' gives no answers; choose one of chinchilla, kaplan, envelope"):
        fitted.ask(flops=1e13, law="plateau")


def test_a_saved_law_answers_the_same_from_any_folder(fitted, tmp_path, monkeypatch, capsys):
    fitted.save(tmp_path / "laws.json")
    monkeypatch.chdir(tmp_path)
    start = time.process_time()
    main(["ask", "--law", "laws.json", "--flops", "1e13", "--json"])
    assert time.process_time() - start < 5
    assert json.loads(capsys.readouterr().out) == json.loads(
        json.dumps(fitted.ask(flops=1e13).to_json() | {"asked": {"flops": 1e13}})
    )


def test_the_folder_of_fit_may_be_called_fits(tmp_path, monkeypatch):
    """The name that the README gives it: its fits/ are one below."""
    runs = make_runs(chinchilla, sizes=(3e4, 1e5, 3e5, 1e6), tokens=(1e6, 1e7, 1e8), noise=0.002, n_rows=1)
    runs[["run", "n_params", "n_tokens", "loss"]].to_csv(tmp_path / "runs.csv", index=False)
    monkeypatch.chdir(tmp_path)
    main(["fit", "runs.csv", "--out", "fits", "--no-figures", "--fits", "chinchilla", "--bootstrap", "20"])
    assert read_law("fits").fit == read_law("fits/fits").fit == "chinchilla"


def test_the_command_prints_the_answer(capsys):
    main(["ask", "--device-hours", "500", "--device", "H100", "--sequences", "64M"])
    text = capsys.readouterr().out
    assert text.startswith("The best model for 500 H100-hours in fp32 (6.03×10¹⁹ FLOPs)")
    assert "in bf16 the same hours buy 10.3 times the FLOPs (--precision bf16)" in text
    assert max(map(len, text.splitlines())) <= 115


def test_laws_that_are_not_there_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"'nothing' is neither a published law \(cheng2024-mlm, .*nor a path"):
        read_law("nothing")
    with pytest.raises(InputError, match="serrano2024 gives no answers"):
        read_law("serrano2024")
    (tmp_path / "cheng2024-mlm").mkdir()
    with pytest.raises(InputError, match="For the file, give ./cheng2024-mlm"):
        read_law("cheng2024-mlm")
    with pytest.raises(InputError, match="Leave --fit and --group out"):
        read_law("cheng2024-clm", fit="chinchilla")


# Published laws -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", names())
def test_published_laws_answer_with_the_spread_of_their_estimators(name):
    law = protein_law(name)
    answer = Laws.published(name).ask(flops=1e21)
    size = optimum(ChinchillaLaw(*law.constants, objective=math.nan), 1e21)
    assert answer["n_params"].value == pytest.approx(size, rel=1e-5)
    for one in law.estimators:
        if one.optimum is not None and not one.note:
            theirs = one.optimum[0] * 1e21 ** one.optimum[1]
            assert answer["n_params"].low <= theirs <= answer["n_params"].high
    assert answer["loss"].low <= answer["loss"].value <= answer["loss"].high
    assert "published" in str(answer) and law.estimators[0].source in str(answer)


def test_published_constants_are_those_that_are_reproduced():
    from plmscale.published.reproductions_cheng import TABLE_A9

    for objective, law in TABLE_A9.items():
        assert protein_law(f"cheng2024-{objective.lower()}").constants == law[:5]


def test_the_resamples_are_drawn_again_from_the_published_curves():
    curves = ROOT.parent / "shared/truth/cheng_scaling_plm/curves.csv.gz"
    if not curves.is_file():
        pytest.skip("the curves of Cheng et al. 2024 are not at ../shared/truth/cheng_scaling_plm")
    import runpy

    script = runpy.run_path(str(ROOT / "benchmarks/protein_laws.py"))
    asked = script["Objective"]("MLM", script["runs_of"](curves, "MLM"))
    ends = {f"{key}_{end}": value for key, both in protein_law().seen.to_json().items()
            for end, value in zip(("low", "high"), both, strict=True)}  # fmt: skip
    assert script["extent"](asked) == pytest.approx(ends, rel=1e-3)
    found = script["followed"](script["points"](asked), None, everywhere=True)
    a9 = ChinchillaLaw(*protein_law().constants, objective=math.nan)
    n, d = asked.runs[0]["n_params"].iloc[0], 1e11
    assert float(found.loss(n, d)) == pytest.approx(float(a9.loss(n, d)), rel=5e-3)
    script["resampled"].__globals__["N_RESAMPLES"] = 3
    drawn = script["resampled"](asked)[list(CONSTANTS[1:])].to_numpy()
    assert drawn == pytest.approx(protein_law().resamples[:3, 1:], rel=1e-3)


def test_the_page_shows_what_the_commands_print():
    """After a change: python docs/generators/transcripts.py docs/howto/ask.md."""
    import transcripts

    page = (ROOT / "docs/howto/ask.md").read_text(encoding="utf-8")
    assert transcripts.with_outputs(page, root=ROOT) == page
