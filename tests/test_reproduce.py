"""Published numbers, from the published data."""

import http.server
import json
import threading
from functools import partial

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.special import logsumexp
from scipy.stats import norm

from plmscale.cli.main import main
from plmscale.errors import InputError
from plmscale.published.laws import overtraining_law, scaled_huber_mle
from plmscale.published.reproduce import download, find, judge, targets
from plmscale.published.reproductions import REPRODUCTIONS
from scaling_data import TRUTH, published


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        # Standard errors over the first 1000 of the 4000 resamples that were published, at the published tolerances.
        ("epoch_chinchilla", ("epoch_chinchilla", "svg_extracted_data.csv")),
        ("gadre", ("gadre", "models_104.csv")),
        ("porian", ("porian", "optimal_pairs.csv")),
        ("muennighoff_c4", ("datablations", "c4_runs_182_used_in_fit.csv")),
        ("cheng_plm", ("cheng_scaling_plm", "curves.csv.gz")),
    ],
)
def test_published_numbers_are_reproduced(name, parts):
    verdicts = judge(name, published(*parts), n_bootstrap=1000)
    assert len(verdicts) == len(targets()[name]["numbers"])
    assert [verdict.row for verdict in verdicts if not verdict.agrees] == []


def test_biases_of_approach_2_are_reproduced(tmp_path):
    assert all(verdict.agrees for verdict in judge("synthetic_approach2", tmp_path, n_bootstrap=2))


def test_the_targets_are_those_of_the_shared_table():
    """Tolerances are not wider than the ones that were set before the code was written."""
    golden = json.loads(published("golden_targets.json").read_text())
    own = {(name, n["key"]): n for name, target in targets().items() for n in target["numbers"]}
    epoch = golden["epoch_chinchilla"]
    assert own["epoch_chinchilla", "huber_objective"]["tolerance"] <= epoch["huber_min_objective"]["tol_rel"]
    assert own["epoch_chinchilla", "huber_objective"]["value"] == epoch["huber_min_objective"]["value"]
    for key, tolerance in epoch["tol_rel_se"].items():
        number = own["epoch_chinchilla", f"se_{key}"]
        assert number["tolerance"] <= tolerance and number["relative"]
        assert number["value"] == epoch["bootstrap_se_notebook_4000"][key]
        mle = own["epoch_chinchilla", f"mle_{key}"]
        assert mle["tolerance"] <= epoch["scaled_huber_mle"]["tol_rel"]
        assert mle["value"] == epoch["scaled_huber_mle"]["notebook"][key]
    for key, value in golden["porian"]["weighted_loglog_exponents"].items():
        assert own["porian", key]["value"] == value
        assert own["porian", key]["tolerance"] <= golden["porian"]["tol"]
    held_out = golden["gadre"]["rpj_c4val_5point_fit"]["heldout_rel_err_pct"]["published"]
    assert own["gadre", "heldout_open_lm_1b"]["value"] == held_out["1.4B_M640"]
    assert own["gadre", "heldout_open_lm_7b"]["value"] == held_out["6.9B_M20"]
    muennighoff = own["muennighoff_c4", "objective_at_published"]
    assert muennighoff["value"] == golden["muennighoff_c4"]["published"]["objective"]
    assert muennighoff["tolerance"] <= golden["muennighoff_c4"]["tol_obj"]
    notebook = golden["cheng_plm"]["notebook_envelope_nls"]
    assert own["cheng_plm", "MLM_N_exponent"]["value"] == notebook["MLM"]["N"][1]
    assert own["cheng_plm", "MLM_N_exponent"]["tolerance"] <= notebook["tol"]


def test_the_command_prints_every_number_and_fails_where_one_differs(tmp_path, capsys):
    source = published("porian", "optimal_pairs.csv")
    words = ["--bootstrap", "2", "--json", str(tmp_path / "verdicts.json")]
    assert main(["reproduce", "--data", str(source), *words]) == 0
    text = capsys.readouterr().out
    assert "0.4969" in text and "agrees" in text and "16 of 16 numbers agree" in text
    assert all(row["agrees"] for row in json.loads((tmp_path / "verdicts.json").read_text()))
    pairs = pd.read_csv(source)
    pairs.assign(n_opt=pairs["n_opt"] ** 1.01).to_csv(tmp_path / "changed.csv", index=False)
    assert main(["reproduce", "--data", str(tmp_path / "changed.csv"), "--bootstrap", "2"]) == 1
    assert "DIFFERS" in capsys.readouterr().out


def test_a_folder_is_searched_and_the_version_that_was_fitted_is_taken():
    found = dict(find(published("datablations")))
    assert found == {"muennighoff_c4": TRUTH / "datablations" / "c4_runs_182_used_in_fit.csv"}


def test_a_table_is_fetched_from_a_url(tmp_path):
    (tmp_path / "runs.csv").write_text("Model Size,Training FLOP,loss\n1,2,3\n")
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        (tmp_path / "here").mkdir()
        fetched = download(f"{url}/runs.csv", tmp_path / "here")
        with pytest.raises(InputError, match="absent.csv"):
            download(f"{url}/absent.csv", tmp_path / "here")
        server.shutdown()
    assert REPRODUCTIONS["epoch_chinchilla"].matches(fetched)
    with pytest.raises(InputError, match="http"):
        download("file:///etc/hostname", tmp_path)


def test_data_that_are_none_of_the_sets_are_an_error(tmp_path):
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(SystemExit, match="no known data set"):
        main(["reproduce", "--data", str(tmp_path)])


def noisy_law(n=60):
    """Sizes, tokens and losses of a known law with heavy-tailed noise."""
    rng = np.random.default_rng(3)
    sizes, tokens = np.exp(rng.uniform(15, 22, n)), np.exp(rng.uniform(19, 26, n))
    loss = 1.8 + 400 * sizes**-0.34 + 1000 * tokens**-0.33
    return sizes, tokens, loss * np.exp(0.003 * rng.laplace(size=n))


def test_no_neighbour_is_likelier_than_the_scaled_huber_fit():
    """The likelihood written independently, from its density; scipy finds nothing better nearby."""
    sizes, tokens, loss = noisy_law()
    fit = scaled_huber_mle(sizes, tokens, loss)

    def negative_log_likelihood(theta):
        e, a, b, alpha, beta, log_sigma = theta
        logs = [np.full(sizes.size, e), a - alpha * np.log(sizes), b - beta * np.log(tokens)]
        x = np.abs(np.log(loss) - logsumexp(np.array(logs), axis=0)) / np.exp(log_sigma)
        huber = np.where(x <= 1e-3, x**2 / 2, 1e-3 * (x - 5e-4))
        integral = np.sqrt(2 * np.pi) * (norm.cdf(1e-3) - norm.cdf(-1e-3)) + 2e3 * np.exp(-5e-7)
        return float(np.sum(huber + np.log(integral) + log_sigma))

    law = fit.law
    at = np.array([np.log(law.E), np.log(law.A), np.log(law.B), law.alpha, law.beta, fit.log_sigma])
    assert negative_log_likelihood(at) == pytest.approx(fit.negative_log_likelihood, rel=1e-9)
    found = minimize(negative_log_likelihood, at, method="Nelder-Mead", options={"maxfev": 4000, "fatol": 1e-9})
    assert found.fun >= fit.negative_log_likelihood - 1e-3


def test_the_overtraining_law_recovers_itself():
    n, m = np.array([1e7, 8e7, 1.5e8, 4e8, 1e7]), np.array([20.0, 20.0, 20.0, 20.0, 320.0])
    truth = overtraining_law(n, m, 1.9 + 170 * n**-0.28 + 350 * 6**-0.14 * (m * n) ** -0.28)
    assert truth == pytest.approx((1.9, 170, 350, -0.28), rel=1e-6)
