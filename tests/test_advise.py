"""The next best cells: information against finite differences and known optimal designs, plans against random ones."""

import subprocess
import sys
from functools import partial

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import stats
from scipy.optimize import approx_fprime, curve_fit, minimize_scalar

import forked
import results_data
from conftest import ROOT
from plmscale.advise.advice import LARGEST_SHARE, MOST_OF_NEW, Budget, Question, advise, best_of, best_sequence
from plmscale.advise.advice_warnings import confounding_warnings, edge_warnings, law_warnings, seed_warnings
from plmscale.advise.advise import advice_by_schedule
from plmscale.advise.candidates import DeviceSpeed, of_runs
from plmscale.advise.known_law import KnownLaw
from plmscale.advise.known_law import of_runs as known_of_runs
from plmscale.advise.study_candidates import of_study
from plmscale.advise.targets import PowerCost, Target
from plmscale.cli.main import main
from plmscale.errors import InputError
from plmscale.laws.confidence.run_noise import RunNoise
from plmscale.laws.fit import FitSettings
from plmscale.laws.points import points_of
from plmscale.laws.solvers.chinchilla import ChinchillaLaw, ChinchillaProblem, chinchilla_law
from plmscale.plan import information
from plmscale.plan.plan import plan
from plmscale.runs.curve_files import to_frame
from plmscale.runs.curves import smooth
from plmscale.study.config import Config
from plmscale.study.flops import count_params, train_flops
from plmscale.study.grid import grid
from plmscale.study.study import load_study
from results_data import SETS, make_results, make_study
from scaling_data import SIZES, TOKENS, chinchilla, make_runs

LAW = ChinchillaLaw(2.0, 20.0, 60.0, 0.30, 0.35, 0.0)
SIX_ND = PowerCost(float(np.log(6)), 1.0)
SPEED = DeviceSpeed(1e15, 0.001)
SETTINGS = FitSettings(n_bootstrap=20)
NO_RERUNS = RunNoise(0.0, 1, "residuals")


def final_losses(sizes=SIZES, tokens=TOKENS, *, noise=0.003, seed=0, law=chinchilla) -> pd.DataFrame:
    """One row per run, noise on log loss."""
    runs = make_runs(law, sizes=sizes, tokens=tokens, n_rows=1)
    runs = runs[runs["n_tokens"] > 0].reset_index(drop=True)
    return runs.assign(loss=runs["loss"] * np.exp(np.random.default_rng(seed).normal(0, noise, len(runs))))


def known(runs: pd.DataFrame, target: Target | None = None, settings: FitSettings = SETTINGS) -> KnownLaw:
    rng = np.random.default_rng(1)
    points = points_of(smooth(runs), settings=settings)
    return known_of_runs(points, target or Target(), cost=SIX_ND, noise=NO_RERUNS, rng=rng, settings=settings)


def asked(runs: pd.DataFrame, *, hours=1.0, target=None, speed=SPEED):
    rng, question = np.random.default_rng(0), Question(target or Target(), device_hours=hours)
    return advise(smooth(runs), question, candidates=partial(of_runs, speed=speed), rng=rng, settings=SETTINGS)


def test_gradients_are_those_of_finite_differences():
    centre = np.log([1e5, 1e7])
    theta = ChinchillaProblem(*(np.zeros(1),) * 3, centre, 1.0).theta(LAW)
    found = information.gradients(theta[None], [3e4, 2e6], [1e6, 1e8], centre=centre)[0]

    def log_loss(one, n, d):
        x, y = np.log(n) - centre[0], np.log(d) - centre[1]
        return np.log(np.exp(one[0]) + np.exp(one[1] - one[3] * x) + np.exp(one[2] - one[4] * y))

    assert np.exp(log_loss(theta, 3e4, 1e6)) == pytest.approx(float(LAW.loss(3e4, 1e6)))
    for row, cell in zip(found, ((3e4, 1e6), (2e6, 1e8)), strict=True):
        assert row == pytest.approx(approx_fprime(theta, log_loss, 1e-7, *cell), rel=1e-5, abs=1e-8)


def test_one_run_more_or_less_is_as_if_everything_were_inverted_again():
    rng = np.random.default_rng(0)
    rows, aims = rng.normal(size=(2, 9, 5)), rng.normal(size=(2, 3, 5))
    whole = information.covariance(rows)
    less = np.stack([information.covariance(np.delete(rows, i, axis=1)) for i in range(9)])
    brute = np.einsum("kqi,nkij,kqj->kqn", aims, less, aims)
    assert information.variances_without(whole, rows, aims) == pytest.approx(brute)
    assert information.variances_with(less[4], rows[:, [4]], aims)[..., 0] == pytest.approx(
        information.variances(whole, aims)
    )
    assert information.added(less[4], rows[:, 4]) == pytest.approx(whole)


@pytest.mark.parametrize(("at", "share"), [(2.0, 0.75), (4.0, 0.625), (1e6, 0.5)])
def test_greedy_choices_approach_hoel_and_levine_s_design(at, share):
    """A straight line on [-1, 1], asked for beyond it: (at + 1) / (2 at) of the runs at 1, the others at -1 (1964)."""
    x = np.linspace(-1, 1, 21)
    line = known(final_losses())
    line.theta, line.aims = line.theta[:1], np.array([[[1.0, at, 0, 0, 0]]])
    rows = 100 * np.stack([np.ones_like(x), x, *np.zeros((3, x.size))], axis=1)[None]
    line.covariance, line.n_runs = information.covariance(rows[:, [5, 15]]), 100
    chosen = []
    for _ in range(200):
        best = best_of(line.gains(rows), np.ones(x.size), spent=np.inf, allowed=np.ones(x.size, dtype=bool))
        assert best is not None
        chosen.append(x[best])
        line.add(rows[:, best])
    assert set(np.abs(chosen)) == {1.0}
    assert np.mean(np.array(chosen) == 1.0) == pytest.approx(share, abs=0.02)


def test_the_interval_is_that_of_scipys_covariance():
    runs = final_losses(noise=0.001)
    settings = FitSettings(n_bootstrap=20, huber_delta=10.0)  # beyond every residual: least squares
    found = known(runs, settings=settings)
    n, d, loss = (runs[name].to_numpy(dtype=float) for name in ("n_params", "n_tokens", "loss"))

    def log_loss(_, e, a, b, alpha, beta):
        return np.log(np.exp(e) + np.exp(a) * (n / 1e5) ** -alpha + np.exp(b) * (d / 1e7) ** -beta)

    start = [np.log(2), np.log(20 * 1e5**-0.3), np.log(60 * 1e7**-0.35), 0.3, 0.35]
    best, covariance = curve_fit(
        log_loss, n, np.log(loss), p0=start, sigma=np.full(n.size, found.sd), absolute_sigma=True
    )
    alpha, beta = best[3:]
    slope = np.array([-beta, alpha]) / (alpha + beta) ** 2
    error = float(np.sqrt(slope @ covariance[3:, 3:] @ slope))
    assert found.value == pytest.approx(beta / (alpha + beta), rel=1e-4)
    assert found.half_width == pytest.approx(stats.t.ppf(0.975, n.size - 5) * error, rel=0.01)


def test_lack_of_fit_widens_the_interval():
    def bent(n_params, n_tokens):
        return chinchilla(n_params, n_tokens) * (1 + 0.01 * np.sin(3 * np.log(n_params)))

    assert known(final_losses(noise=0.0005, law=bent)).half_width > 5 * known(final_losses(noise=0.0005)).half_width


@pytest.mark.parametrize("cost", [SIX_ND, PowerCost(2.5, 0.9)])
def test_optimal_size_and_lowest_loss_are_those_of_a_search(cost):
    flops, centre = 1e14, np.log([1e5, 1e7])
    theta = ChinchillaProblem(*(np.zeros(1),) * 3, centre, 1.0).theta(LAW)[None]

    def loss_at(log_size: float) -> float:
        n = np.exp(log_size)
        return float(LAW.loss(n, flops / (np.exp(cost.log_factor) * n**cost.power)))

    search = minimize_scalar(loss_at, bounds=(5, 25))
    size, loss = (Target(name, flops).quantity(centre=centre, cost=cost)(theta)[0] for name in ("n_opt", "loss"))
    assert (size, np.exp(loss)) == pytest.approx((search.x, search.fun), rel=1e-5)


def plans(start: pd.DataFrame, hours: float):
    """The plan after `start`, and random plans of the same cost from the same candidates."""
    law, found = known(start), of_runs(smooth(start), speed=SPEED)
    table = pd.DataFrame(found)
    rows = law.rows(table["n_params"], table["n_tokens"])
    steps = best_sequence(law, rows, table, budget=Budget(hours, float(start["flops"].sum())))
    spent = float(table["device_hours"].iloc[[i for i, _ in steps]].sum())
    others = []
    for k in range(8):
        left, own = spent, []
        for i in np.random.default_rng(k).permutation(len(table)):
            if table["device_hours"][i] <= left:
                own.append(int(i))
                left -= table["device_hours"][i]
        others.append(own)
    return law, rows, table, [i for i, _ in steps], others


def test_plans_beat_random_ones_of_the_same_cost_in_expectation_and_in_truth():
    start = final_losses(SIZES[1:6:2], TOKENS[:3], noise=0.003)
    law, rows, table, planned, others = plans(start, hours=0.05)
    assert len(planned) >= 4

    def expected(cells):
        after = law.copy()
        for i in cells:
            after.add(rows[:, i])
        return after.half_width

    def realised(cells):
        """Root mean square error of a over noise drawn again."""
        new = table.iloc[cells]
        n = np.r_[start["n_params"], new["n_params"]]
        d = np.r_[start["n_tokens"], new["n_tokens"]].astype(float)
        truth, rng = LAW.loss(n, d), np.random.default_rng(5)
        losses = [truth * np.exp(rng.normal(0, 0.003, n.size)) for _ in range(12)]
        a = [chinchilla_law(n, d, loss).size_exponent for loss in losses]
        return float(np.sqrt(np.mean((np.array(a) - LAW.size_exponent) ** 2)))

    assert expected(planned) < min(expected(cells) for cells in others)
    assert realised(planned) < np.median([realised(cells) for cells in others])


def test_a_plan_keeps_to_the_budget_and_compute_at_most_doubles_with_a_cell():
    runs = final_losses(SIZES[:4], TOKENS[:3])
    advice = asked(runs, hours=0.02)
    assert 0 < advice.plan["device_hours"].sum() <= 0.02
    spent, small = float(runs["flops"].sum()), advice.table[advice.table["device_hours"] <= 0.02]
    for flops in advice.plan["flops"]:
        assert flops <= LARGEST_SHARE * spent or small["flops"].min() > LARGEST_SHARE * spent
        spent += flops
    widths = [advice.half_width, *advice.plan["half_width"]]
    assert np.all(np.diff(widths) < 0)
    new = advice.plan[advice.plan["kind"].str.contains("size")]
    assert new.groupby("n_params").size().max() <= MOST_OF_NEW
    assert not advice.plan.duplicated(["n_params", "n_tokens"]).any()
    assert best_of(np.array([1.0, 9.0]), np.array([5.0, 50.0]), spent=10.0, allowed=np.array([True, True])) == 0
    assert best_of(np.array([1.0, 9.0]), np.array([50.0, 80.0]), spent=10.0, allowed=np.array([True, True])) == 1
    assert best_of(np.ones(2), np.ones(2), spent=10.0, allowed=np.zeros(2, dtype=bool)) is None


def test_runs_without_a_law_get_a_spread():
    for runs in (final_losses(SIZES[:2], TOKENS[:2]), final_losses(SIZES[:4], [1e6, 1.05e6, 1.1e6, 1.15e6])):
        advice = asked(runs, hours=0.1)
        assert advice.spread and np.isnan(advice.value) and np.isnan(advice.half_width)
        before = runs["n_tokens"].max() / runs["n_tokens"].min(), runs["n_params"].max() / runs["n_params"].min()
        lengths, sizes = advice.plan["n_tokens"], advice.plan["n_params"]
        assert len(advice.plan) >= 6 and advice.plan["device_hours"].sum() <= 0.1
        assert lengths.max() / lengths.min() > before[0] and sizes.max() / sizes.min() > before[1]
    assert asked(final_losses().assign(status="diverged")).reason == "there is no usable run."


def test_optima_at_the_edge_of_the_sizes_are_told():
    small = smooth(make_runs(chinchilla, sizes=(3e6, 4e6, 5e6, 7e6, 9e6), tokens=(3e6,), noise=1e-4))
    (said,) = edge_warnings(small, settings=SETTINGS)
    assert "the best size is the smallest trained, 3M" in said and "Add two smaller sizes at" in said
    most = max(float(curve.flops[-1]) for curve in small)
    tokens = float(said.split("1.5M on ")[1].split("M tokens")[0]) * 1e6
    assert "750k on" in said and tokens <= most / (6 * 1.5e6)
    inside = smooth(make_runs(chinchilla, sizes=(2e4, 1e5, 4e5, 2e6, 1e7), tokens=(2e6,), noise=1e-5))
    upper = [one for one in edge_warnings(inside, settings=SETTINGS) if "larger" in one]
    assert not upper


@pytest.mark.parametrize(("sizes", "tokens", "censored"), [(SIZES[:4], 3e7, True), ((3e4, 2e5, 6e6, 4e7), 3e6, False)])
def test_final_losses_have_edges_where_the_law_has_them(sizes, tokens, censored):
    runs = final_losses(sizes, np.geomspace(1e6, tokens, 4).round(), noise=1e-5)
    warnings = edge_warnings(smooth(runs), settings=SETTINGS, law=asked(runs).fit)
    # The best size at the longest run's FLOPs, 6ND, by a search over the true law.
    flops = float(runs["flops"].max())
    best = minimize_scalar(lambda x: float(LAW.loss(np.exp(x), flops / 6 / np.exp(x))), bounds=(5, 25))
    assert (np.exp(best.x) > max(sizes)) == censored
    assert any("by the law" in one and "Add two larger sizes" in one for one in warnings) == censored


@pytest.mark.parametrize(("name", "words"), [("batch_tokens", "batch"), ("learning_rate", "learning rate")])
def test_settings_that_change_with_size_or_compute_are_told(name, words):
    runs = final_losses()
    assert not confounding_warnings(smooth(runs))
    (said,) = confounding_warnings(smooth(runs.assign(**{name: runs["n_params"] / 1e3})))
    assert f"The {words} changes with size (rank correlation 1.00)" in said and "Train 30k with" in said
    (said,) = confounding_warnings(smooth(runs.assign(**{name: 1e20 / runs["flops"]})))
    assert f"The {words} changes with compute (rank correlation -1.00)" in said
    shuffled = np.random.default_rng(0).permutation(runs["n_params"])
    assert not confounding_warnings(smooth(runs.assign(**{name: shuffled})))


def test_a_learning_rate_in_a_table_is_looked_at(tmp_path, capsys):
    runs = final_losses()[["n_params", "n_tokens", "loss"]]
    table = tmp_path / "runs.csv"
    runs.assign(lr=1e3 / runs["n_params"]).to_csv(table, index=False)
    main(["advise", str(table), "--budget-gpu-hours", "0.05"])
    assert "Warning: The learning rate changes with size (rank correlation -1.00)" in capsys.readouterr().out


def test_noise_that_nobody_measured_is_told():
    runs = final_losses()
    (said,) = seed_warnings(asked(runs), smooth(runs))
    assert "The noise between seeds is not measured" in said and "with 2 more seeds each" in said
    again = pd.concat([runs, runs.assign(run=runs["run"] + "b", seed=1, loss=runs["loss"] * 1.001)])
    assert not seed_warnings(asked(again), smooth(again))


def test_wrong_laws_and_far_targets_are_told():
    def interacting(n, d):
        return chinchilla(n, d) + 0.5 * (20.0 * n**-0.30) * (60.0 * d**-0.35)

    wrong = final_losses(tokens=np.geomspace(1e6, 1e8, 8).round(), noise=0.001, law=interacting)
    (said,) = law_warnings(asked(wrong), smooth(wrong))
    assert "does not fit these runs" in said
    right = final_losses(noise=0.001)
    assert not law_warnings(asked(right), smooth(right))
    (said,) = law_warnings(asked(right, target=Target("n_opt", 1e20)), smooth(right))
    assert "times those of the largest run" in said


def test_the_program_writes_what_it_says_and_says_the_same_again(tmp_path, capsys):
    table = tmp_path / "runs.csv"
    final_losses()[["run", "n_params", "n_tokens", "loss"]].to_csv(table, index=False)
    command = [str(table), "--budget-gpu-hours", "0.05", "--for", "loss", "--at-flops", "1e15", "--device", "L4"]
    main(["advise", *command, "--out", str(tmp_path / "out")])
    words = capsys.readouterr().out
    main(["advise", *command])
    assert capsys.readouterr().out == words
    assert "The lowest loss at 10¹⁵ FLOPs" in words
    assert words in (tmp_path / "out/advice.md").read_text()
    assert 'id="table-candidates"' in (tmp_path / "out/report.html").read_text()
    found = pd.read_csv(tmp_path / "out/advice.tsv", sep="\t")
    assert found["order"].notna().sum() == words.count("device-hours,")
    assert found["percent_per_hour"].is_monotonic_decreasing
    hours = found["flops"] / (30.3e12 * 0.5 * 3600) + 60 / 3600  # the data sheet's fp32, half of it, a minute to start
    assert found["device_hours"].to_numpy() == pytest.approx(hours.to_numpy())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--budget-gpu-hours", "-1"], "budget_gpu_hours is -1.0"),
        (["--budget-gpu-hours", "1", "--for", "n_opt"], "give positive FLOPs"),
        (["--budget-gpu-hours", "1", "--for", "loss", "--at-flops", "-2"], "at_flops is -2.0"),
        (["--budget-gpu-hours", "1", "--at-flops", "1e18"], "has no budget"),
        (["--budget-gpu-hours", "1", "--device", "abacus"], "'abacus' is not a known type"),
        (["--budget-gpu-hours", "1", "--utilisation", "2"], "--utilisation is 2"),
        (["--budget-gpu-hours", "1", "--peak-flops", "0"], "--peak-flops is 0.0"),
        (["--budget-gpu-hours", "1", "--startup-seconds", "-3"], "--startup-seconds is -3.0"),
        (["--budget-gpu-hours", "1", "--device", "V100-16GB", "--precision", "bf16"], "does not compute in"),
        (["--budget-gpu-hours", "1", "--seed", "-1"], "--seed is -1"),
        (["--budget-gpu-hours", "1"], "absent.csv does not exist"),
    ],
)
def test_wrong_questions_are_errors(options, words):
    with pytest.raises(SystemExit) as error:
        main(["advise", "absent.csv", *options])
    assert str(error.value.code).startswith("error: ") and words in str(error.value.code)


def test_budgets_that_pay_for_nothing_are_told(tmp_path, capsys):
    table = tmp_path / "runs.csv"
    final_losses()[["n_params", "n_tokens", "loss"]].to_csv(table, index=False)
    main(["advise", str(table), "--budget-gpu-hours", "0.001"])
    assert "No advice: no candidate costs less than 0.001 device-hours" in capsys.readouterr().out


def test_a_study_s_cells_cost_what_its_plan_says():
    study = make_study(schedules=("constant",))
    results = make_results(study, fits=False)
    found = of_study(study, results.curves, schedule="constant", counted=SETS, records={})
    table = plan(study, SETS).set_index(["model", "subset"])["device_hours"]
    known_cells = [one for one in found if (one.model, one.subset) in table.index]
    assert len(known_cells) == len(table)
    assert [one.device_hours for one in known_cells] == [table[one.model, one.subset] for one in known_cells]
    new = {one.kind: one for one in found if one.row}
    assert set(new) == {"smaller size", "larger size"}
    assert new["larger size"].n_params == pytest.approx(2 * max(one.n_params for one in known_cells), rel=0.1)
    assert max(one.n_tokens for one in found) == max(SETS.values())  # one pass over what there is
    for bad in ({"target": "a", "at_flops": 1e18}, {"target": "n_opt"}, {"target": "b"}, {"budget_gpu_hours": -1}):
        with pytest.raises(ValueError):
            Config.model_validate({"advice": bad})


def test_schedules_are_advised_apart():
    study = make_study()
    runs, _ = results_data.make_runs(study)
    question = Question(Target(), device_hours=0.1)

    def candidates(schedule):
        return lambda curves: of_study(study, curves, schedule=schedule, counted=SETS, records={})

    both = advice_by_schedule(smooth(runs), question, candidates=candidates, settings=SETTINGS)
    one = runs[runs["schedule"] == "constant"]
    alone = advice_by_schedule(smooth(one), question, candidates=candidates, settings=SETTINGS)
    assert set(both) == {"token_decay", "constant"}
    pd.testing.assert_frame_equal(both["constant"].plan, alone["constant"].plan)


def snakemake(folder, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)]
    command += ["--configfile", str(ROOT / "config/toy.yaml"), "--cores", "1", "advise", "--quiet", "rules"]
    return forked.run([*command, *words])


@pytest.mark.slow
def test_snakemake_advise_ranks_the_cells_of_a_study(tmp_path):
    toy = yaml.safe_load((ROOT / "config/toy.yaml").read_text())
    study = load_study({key: toy[key] for key in ("models", "subsets", "max_length")}, base=ROOT)
    rows, rng = [], np.random.default_rng(0)
    for cell in grid(study):
        tokens = 50.0 * next(one.n_sequences for one in study.subsets if one.name == cell.subset)
        n = count_params(cell.model)
        row = {"run": cell.path, "model": cell.model.name, "subset": cell.subset, "schedule": cell.schedule, "seed": 0}
        row |= {"status": "done", "n_params": int(n), "unique_tokens": int(tokens), "batch_tokens": 2048, "step": 9}
        row |= {"n_tokens": int(tokens), "loss": float(LAW.loss(n, tokens)) + rng.normal(0, 0.003), "lr_fraction": 1.0}
        row["flops"] = train_flops(cell.model, tokens, convention="appendix_e", max_length=cell.max_length)
        rows.append(row)
    (tmp_path / "results/analysis").mkdir(parents=True)
    to_frame(smooth(pd.DataFrame(rows))).to_parquet(tmp_path / "results/analysis/curves.parquet")
    done = snakemake(tmp_path, "--allowed-rules", "advise", "--config", "advice={budget_gpu_hours: 0.5}")
    assert done.returncode == 0, done.stderr
    words = (tmp_path / "results/tables/advice.md").read_text()
    assert "Runs: constant" in words and "Runs: token_decay" in words and "Runs: constant" in done.stdout
    table = pd.read_csv(tmp_path / "results/tables/advice.tsv", sep="\t")
    assert {"1K", "21K"} <= set(table["model"]) and (table["device_hours"] <= 0.5).all()
    without = snakemake(tmp_path, "--dry-run")
    assert without.returncode != 0 and "advice.budget_gpu_hours: no budget" in without.stderr + without.stdout


def test_targets_are_checked():
    for bad in (("b", None), ("n_opt", None), ("loss", float("inf"))):
        with pytest.raises(InputError):
            Target(*bad)
