"""Published models: every row has a source, three counts, and a verdict by the interval of a fitted law."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from conftest import SHARED
from plmscale.cli.main import main
from plmscale.errors import InputError
from plmscale.files import write_json
from plmscale.laws.budgets import EXTRAPOLATED, INSIDE
from plmscale.laws.fit import FitSettings, fits_json
from plmscale.laws.methods import fit_all
from plmscale.laws.size_law import SizeAt, SizeLaw, best_law
from plmscale.presentation.figure_labels import place_labels
from plmscale.presentation.figure_style import panels
from plmscale.published import models as published_models
from plmscale.published.models import NEAR, NO_LAW, NO_TOKENS, OUTSIDE, OVER, UNDER, place, verdict_of
from plmscale.study.published_settings import PublishedModel
from plmscale.study.study import read_published
from scaling_data import chinchilla, make_runs

REGISTRY = Path(__file__).parents[1] / "config" / "published_plms.tsv"
SETTINGS = FitSettings(n_bootstrap=20, n_envelope=150, budgets=(1e13, 1e14))
# By the law of `scaling_data` N_opt is 4e4 at 1e11 FLOPs and 2e6 at 1e14; sizes from 3e4 to 2e6 are trained.
RANGE = (2e11, 1e14)
HEADER = "name\tobjective\tn_params\ttokens_seen\tstatus\tunverified\tsource\n"


@pytest.fixture(scope="module")
def fits():
    runs = make_runs(chinchilla, noise=0.002)
    return {name: fit_all(runs, name=name, settings=SETTINGS) for name in ("envelope", "chinchilla")}


@pytest.fixture(scope="module")
def law(fits) -> SizeLaw:
    found = best_law(fits)
    assert found is not None
    return found


def model(name: str, *, n_params: float, n_tokens: float | None = None, **more) -> PublishedModel:
    return PublishedModel(
        name=name, objective="MLM", n_params=n_params, tokens_seen=n_tokens, status="verified", source="here", **more
    )


def test_every_published_model_has_a_source_and_the_counts_of_the_registry():
    models = {one.name: one for one in read_published(REGISTRY)}
    assert len(models) == 38
    path = SHARED / "truth/plm_registry/plm_tokens_params.csv"
    if not path.is_file():
        pytest.skip(f"the registry of published models is absent: {path}")
    data = place(list(models.values()), None).set_index("name")
    for row in pd.read_csv(path).to_dict("records"):
        own = data.loc[row["model"]]
        for count, theirs in (("325", "ratio_325"), ("unique", "ratio_unique"), ("seen", "ratio_seen")):
            ours = own[f"ratio_{count}"]
            assert (ours is None) == bool(np.isnan(row[theirs])), (row["model"], count)
            if ours is not None:
                assert ours == pytest.approx(row[theirs], rel=1e-4), (row["model"], count)
        marked = any(word in str(row["status"]) for word in ("UNVERIFIED data", "UNVERIFIED (batch", "INFERRED"))
        if marked and not np.isnan(row["ratio_seen"]):
            assert own["unverified_seen"], row["model"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("x\tMLM\t-3\t\tverified\t\ts\n", "line 2:\n  n_params: Input should be greater than 0; found '-3'"),
        ("x\tMLM\t3\t\tverfied\t\ts\n", "status: Input should be 'verified' or 'unverified'; found 'verfied'"),
        ("x\tMLM\t3\t\tverified\tn_params\ts\n", "status is verified, but unverified names n_params"),
        ("x\tMLM\t3\t\tunverified\tn_parms\ts\n", "found 'n_parms'"),
        ("x\tMLM\t3\t\tverified\t\t\n", "source: is missing"),
        ("x\tMLM\t3\t\tverified\t\ts\nx\tMLM\t3\t\tverified\t\ts\n", "line 3: the name 'x' is already on line 2"),
    ],
)
def test_a_bad_row_is_named_by_file_line_and_column(tmp_path, row, message):
    path = tmp_path / "published.tsv"
    path.write_text(HEADER + row)
    with pytest.raises(InputError) as error:
        read_published(path)
    assert message in str(error.value)
    assert str(path) in str(error.value)


def test_the_size_law_is_hoffmanns_closed_form(law):
    # N_opt = (alpha A / (beta B))^(1 / (alpha + beta)) (C / 6)^(beta / (alpha + beta)), Hoffmann et al. 2022, eq. 4.
    for flops in np.geomspace(*RANGE, 5):
        found = law.at(float(flops))
        assert found is not None
        assert found.position == INSIDE
        expected = (0.30 * 20 / (0.35 * 60)) ** (1 / 0.65) * (flops / 6) ** (0.35 / 0.65)
        assert found.n_params == pytest.approx(expected, rel=0.1)
        assert found.low is not None
        assert found.high is not None
        assert found.low <= found.n_params <= found.high


def test_verdicts_follow_the_interval_and_the_range(law):
    flops = RANGE[0] * 10
    best = law.at(flops)
    assert best is not None
    at = {OVER: best.low / 2, NEAR: best.n_params, UNDER: best.high * 2}
    models = [model(name, n_params=size, n_tokens=flops / (6 * size)) for name, size in at.items()]
    models += [model("far", n_params=1e10, n_tokens=1e13), model("unknown", n_params=1e9)]
    rows = {row["name"]: row for row in place(models, law).to_dict("records")}
    assert {name: rows[name]["verdict"] for name in at} == {name: name for name in at}
    assert (rows["far"]["verdict"], rows["far"]["n_opt"]) == (OUTSIDE, None)
    assert rows["unknown"]["verdict"] == NO_TOKENS
    near = rows[NEAR]
    assert near["d_opt"] / near["n_opt"] == pytest.approx(near["ratio_opt"])
    # Fewer parameters at the same compute are more tokens for each.
    assert rows[OVER]["ratio_seen"] > near["ratio_opt_high"] > near["ratio_opt_low"] > rows[UNDER]["ratio_seen"]
    assert {row["verdict"] for row in place(models[:3], None).to_dict("records")} == {NO_LAW}


def test_beyond_the_runs_is_extrapolated_then_nothing(law):
    found = law.at(3e14)  # 1.7 times the largest size
    assert found is not None
    assert found.position == EXTRAPOLATED
    assert law.at(2e15) is None  # five times the largest size
    assert law.at(law.flops[1] * 1e4) is None
    assert law.at(law.flops[0] / 1e4) is None


def test_the_compute_of_a_mixture_of_experts_has_its_active_parameters():
    row = place([model("moe", n_params=4e9, n_tokens=1e11, n_active=1e9)], None).iloc[0]
    assert (row["flops"], row["ratio_seen"]) == (6 * 1e9 * 1e11, 25)


def test_the_best_verdict_is_the_law(fits):
    read = fits | {"chinchilla": {s: replace(fit, status="identified") for s, fit in fits["chinchilla"].items()}}
    weak = {"envelope": {s: replace(fit, status="weakly_identified") for s, fit in read["envelope"].items()}}
    assert best_law(read | weak).fit == "chinchilla"
    assert best_law(read).fit == "envelope"
    assert (
        best_law({"envelope": {s: replace(fit, status="not_identified") for s, fit in read["envelope"].items()}})
        is None
    )
    assert best_law(read, schedule="nowhere") is None


def test_the_command_judges_by_any_law_and_names_what_is_wrong(fits, tmp_path, capsys):
    for name, fit in fits.items():
        write_json(tmp_path / f"{name}.json", fits_json(name, fit))
    table = tmp_path / "models.tsv"
    table.write_text(HEADER + "mine\tMLM\t1e5\t1e8\tunverified\ttokens_seen\tmy notebook\n")
    out = tmp_path / "out"
    main(["published", "--fits", str(tmp_path), "--models", str(table), "--out", str(out), "--fit", "chinchilla"])
    assert "Law: Chinchilla, constant" in capsys.readouterr().out
    assert {path.name for path in out.glob("*.*")} == {
        f"published_models.{suffix}" for suffix in ("tsv", "md", "tex", "svg", "pdf", "png", "csv")
    }
    assert "| 1,000† |" in (out / "published_models.md").read_text()
    assert r"1,000$^\dagger$" in (out / "published_models.tex").read_text()
    for arguments, message in ((["--fits", str(out)], "no fit here"), (["--fits", str(tmp_path)], "does not exist")):
        with pytest.raises(SystemExit) as error:
            main(["published", *arguments, "--models", str(tmp_path / "none.tsv"), "--out", str(out)])
        assert message in str(error.value)


def test_labels_cover_neither_each_other_nor_a_point():
    figure, ((ax,),) = panels(1, 1, height=4)
    rng = np.random.default_rng(0)
    points = rng.uniform(0.1, 0.9, (14, 2))
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    place_labels(ax, [(x, y, f"model {i}") for i, (x, y) in enumerate(points)], obstacles=[], size=8)
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in ax.texts]
    assert len(boxes) == 14
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:i])
        assert not any(box.contains(*pixel) for pixel in ax.transData.transform(points))


def test_the_law_has_no_interval_where_the_fit_has_none():
    assert verdict_of(1e6, SizeAt(INSIDE, 1e6, None, None)) == published_models.NO_INTERVAL
