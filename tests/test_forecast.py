"""A forecast: frozen before the runs, visible when edited, right where the law is, and scored after."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from frozen_inputs import configure, runs_of_the_law, sets_and_store
from plmscale.errors import InputError
from plmscale.forecast.before import of_sets, rests_on
from plmscale.forecast.freeze import Asked, freeze
from plmscale.forecast.frozen import checksum, read_forecast, write_forecast
from plmscale.forecast.score import score_cells, score_sizes
from plmscale.forecast.study import freeze_study, matching
from plmscale.forecast.words import forecast_text, sentences
from plmscale.laws.fit import FitSettings
from plmscale.plan.plan import grid_resources
from plmscale.presentation.figure_style import SizeScale
from plmscale.report.forecast import forecast_figure, forecast_table, predicted_and_came
from plmscale.study.grid import grid
from plmscale.study.study import load_study
from scaling_data import SIZES, chinchilla, make_runs

FAST = FitSettings(n_bootstrap=40)
SCATTER = 0.004
LARGE = 8e8
"""Tokens that no run has seen: eight times the most."""


def asked(schedule: str = "constant", *, tokens: float = LARGE) -> list[Asked]:
    return [
        Asked(f"m{i}/large/{schedule}/seed0", f"m{i}", "large", schedule, 0, int(n), int(tokens))
        for i, n in enumerate(SIZES)
    ]


@pytest.fixture(scope="module")
def content():
    return freeze(ends(0), asked()[:6], data={"m0/s0": "0" * 64}, seed=0, settings=FAST)


def ends(seed: int) -> pd.DataFrame:
    """Runs with an evaluation at their end, whose log loss scatters by 0.004 about the law."""
    runs = make_runs(chinchilla, n_rows=1)
    last = runs["step"] > 0
    runs.loc[last, "loss"] *= np.exp(np.random.default_rng(1000 + seed).normal(0, SCATTER, int(last.sum())))
    return runs


def came(scatter: float = 0.0, *, seed: int = 5) -> pd.DataFrame:
    factors = np.exp(np.random.default_rng(seed).normal(0, scatter, len(SIZES)))
    law = [float(chinchilla(one.n_params, np.array([LARGE]))[0]) for one in asked()]
    losses = [float(loss) for loss in law * factors]
    rows = [{"run": one.run, "status": "done", "final_loss": loss} for one, loss in zip(asked(), losses, strict=True)]
    return pd.DataFrame(rows, dtype=object)


def test_a_true_law_predicts_eight_times_beyond_its_runs(content):
    assert [row["beyond_tokens"] for row in content["cells"]] == pytest.approx([8.0] * 6)
    scored = score_cells(content, came())
    assert scored["inside"].all()
    assert scored["error"].astype(float).abs().max() < 0.01


def exact_size(flops: float) -> float:
    """(alpha A / beta B)^(1 / (alpha + beta)) (C / 6)^(beta / (alpha + beta)), Hoffmann et al. 2022, equation 4."""
    return float((0.30 * 20 / (0.35 * 60)) ** (1 / 0.65) * (flops / 6) ** (0.35 / 0.65))


@pytest.mark.slow
def test_intervals_hold_the_losses_of_runs_as_often_as_they_say():
    """Over 40 studies, each with its own noise; cells of a study share its law, so they miss together."""
    losses, sizes = [], []
    for seed in range(40):
        found = freeze(ends(seed), asked()[:2], data={}, seed=seed, settings=FitSettings(n_bootstrap=100))
        losses += score_cells(found, came(SCATTER, seed=seed))["inside"].tolist()
        (size,) = found["sizes"]
        sizes.append(size["low"] is not None and size["low"] <= exact_size(size["flops"]) <= size["high"])
    assert 0.90 <= np.mean([bool(one) for one in losses]) <= 0.99
    assert np.mean(sizes) >= 0.85  # of 40 at 95 %, fewer than 34 come once in 700 times


def test_runs_of_another_law_come_outside(content):
    worse = came()
    worse["final_loss"] = worse["final_loss"].astype(float) + 0.2
    scored = score_cells(content, worse)
    assert not scored["inside"].any()
    text = " ".join(sentences(scored, score_sizes(content, {})))
    assert "of 6 losses predicted by Chinchilla's law (identified)" in text and "0 came inside" in text


def test_a_forecast_is_made_once_and_an_edit_is_visible(content, tmp_path):
    path = tmp_path / "forecast.json"
    write_forecast(path, content)
    assert read_forecast(path)["cells"] == content["cells"]
    with pytest.raises(InputError, match=r"there is a forecast already, made on 20"):
        write_forecast(path, content)
    edited = json.loads(path.read_text())
    edited["cells"][0]["high"] *= 1.5
    path.write_text(json.dumps(edited))
    with pytest.raises(InputError, match=f"changed after it was made.*recorded is {edited['checksum']}"):
        read_forecast(path)
    path.write_text(json.dumps({**edited, "checksum": checksum(edited)}))
    assert read_forecast(path)["checksum"] != checksum(content), "an edit with a new checksum has another one"
    path.write_text("[]")
    with pytest.raises(InputError, match="not a forecast of this package"):
        read_forecast(path)


def test_the_content_says_what_it_rests_on(content):
    assert len(content["code"]) == 64 and content["data"] == {"m0/s0": "0" * 64}
    assert content["versions"]["plmscale"] and content["made"].endswith("Z")
    chinchillas = [law for law in content["laws"] if law["law"] == "chinchilla"]
    assert chinchillas[0]["status"] == "identified"
    assert chinchillas[0]["constants"]["alpha"]["value"] == pytest.approx(0.30, rel=0.25)
    json.dumps(content, allow_nan=False)


def test_without_a_law_nothing_is_predicted():
    few = make_runs(chinchilla, sizes=SIZES[:2], n_rows=1)
    found = freeze(few, asked(), data={}, seed=0, settings=FAST)
    assert {row["loss"] for row in found["cells"]} == {None}
    scored = score_cells(found, came())
    (losses, size) = sentences(scored, score_sizes(found, {}))
    assert losses == "Constant learning rate: nothing was predicted, since no law of the other runs was identified."
    assert size == "Constant learning rate, optimal size: nothing was predicted."


def test_text_table_and_figure_say_the_same(content, monkeypatch):
    scored = score_cells(content, came(SCATTER))

    class Found:
        forecast, forecast_sizes = scored, score_sizes(content, {})

    class Shown:
        findings, curves = Found, ()

    text = forecast_text({**content, "checksum": "x"}, scored, Found.forecast_sizes)
    assert text.count("nats, ") == 6
    table = forecast_table(Shown)  # type: ignore[arg-type]
    assert table.data["inside_words"].tolist() == ["yes" if one else "no" for one in scored["inside"]]
    assert table.notes == tuple(sentences(scored, Found.forecast_sizes))
    figure = forecast_figure(Shown, SizeScale([int(n) for n in SIZES]))  # type: ignore[arg-type]
    points = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert [line.get_ydata()[0] for line in points] == scored["observed"].tolist()


@pytest.mark.parametrize(("inside", "entries"), [([True, True], ["inside"]), ([False, None], ["outside"]), ([], [])])
def test_the_legend_of_the_figure_names_what_came_alone(content, inside, entries):
    scored = score_cells(content, came()).head(max(len(inside), 1)).copy()
    scored["observed"] = pd.Series([2.0] * len(inside) or [None], index=scored.index, dtype=object)
    scored["inside"] = pd.Series(inside or [None], index=scored.index, dtype=object)
    figure = predicted_and_came(scored, (), SizeScale([int(n) for n in SIZES]))
    words = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    assert [word.removeprefix("came, ") for word in words if word.startswith("came")] == entries


def tables(folder: Path) -> dict[str, str]:
    sizes = "name\tn_layers\td_model\td_ffn\tn_heads\tlearning_rate\tschedules\n"
    sizes += "S\t1\t16\t64\t1\t4e-3\tconstant,token_decay\n"
    sets = "name\tkind\tn_sequences\ttrain\tschedules\nall\tall\t100\tyes\tconstant\nfew\tsample\t50\tyes\t\n"
    for name, text in (("models.tsv", sizes), ("subsets.tsv", sets)):
        (folder / name).write_text(text)
    return {"models": str(folder / "models.tsv"), "subsets": str(folder / "subsets.tsv")}


def test_sets_that_cannot_be_forecast_are_refused(tmp_path):
    raw = {"source": "p.fasta", **tables(tmp_path)}
    for sets, message in ((["none"], "'none' is no set that is trained on"), (["all", "few"], "Name fewer")):
        with pytest.raises(InputError, match=message):
            load_study(raw | {"forecast": {"sets": sets}}, base=tmp_path)


def test_cells_that_are_predicted_wait_for_the_runs_of_their_schedule(tmp_path):
    """In Snakemake's own order: other cells, the forecast, then its own cells; those of other schedules at any time."""
    (tmp_path / "p.fasta").write_text("".join(f">p{i}\nMKVLAAGI\n" for i in range(200)))
    config = {"source": str(tmp_path / "p.fasta"), **tables(tmp_path), "forecast": {"sets": ["all"]}}
    (tmp_path / "config.yaml").write_text(json.dumps(config))
    command = [sys.executable, "-m", "plmscale", "run", "--configfile", "config.yaml", "-n", "--", "--dag"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    labels = dict(line.strip().split("[label = ", 1) for line in done.stdout.splitlines() if "[label = " in line)
    edges = [tuple(line.strip().rstrip(";").split(" -> ")) for line in done.stdout.splitlines() if " -> " in line]
    (forecast,) = [key for key, text in labels.items() if text.startswith('"forecast"')]
    trained = [key for key, text in labels.items() if text.startswith('"train"')]
    assert len(trained) == 3
    after = [to for source, to in edges if source == forecast and to in trained]
    before = [source for source, to in edges if to == forecast and source in trained]
    assert len(after) == len(before) == 1 and set(after) != set(before)


def test_the_runs_that_a_forecast_rests_on_go_before_other_schedules(tmp_path):
    study = load_study({"source": "p.fasta", **tables(tmp_path), "forecast": {"sets": ["all"]}}, base=tmp_path)
    priority = {path: found["priority"] for path, found in grid_resources(study, {}).items()}
    turns = [f"S/{one}/seed0" for one in ("all/constant", "few/constant", "few/token_decay")]
    assert sorted(priority, key=lambda path: -int(priority[path])) == turns
    assert [cell.path for cell in rests_on(study, of_sets(study))] == turns[1:2]


def test_a_study_is_predicted_by_the_finished_runs_of_the_same_schedule(tmp_path):
    configure(tmp_path)
    study = load_study(yaml.safe_load((tmp_path / "config.yaml").read_text()), base=tmp_path)
    predicted, results = matching(study, ["w192/full/constant/*"]), tmp_path / "results"
    for cell in grid(study):
        if cell not in predicted:
            path = results / "runs" / cell.path / "cell.json"
            path.parent.mkdir(parents=True)
            path.write_text(json.dumps(cell.frozen()))
    runs_of_the_law(tmp_path)
    sets_and_store(tmp_path)
    freeze_study(study, predicted, results=results, path=tmp_path / "forecast.json")
    found = read_forecast(tmp_path / "forecast.json")
    assert [row["run"] for row in found["cells"]] == ["w192/full/constant/seed0"]
    constant = [cell.path for cell in grid(study) if cell.schedule == "constant" and cell not in predicted]
    assert sorted(found["data"]) == sorted(constant)
    assert {law["schedule"] for law in found["laws"]} == {"constant"}
    for path in results.glob("runs/*/*/constant/seed0/run.json"):
        path.unlink()
    with pytest.raises(InputError, match="no other run of constant is finished"):
        freeze_study(study, predicted, results=results, path=tmp_path / "another.json")
