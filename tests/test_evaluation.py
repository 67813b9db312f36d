"""Masked and pseudo-perplexity against fair-esm, transformers, scipy and a naive loop."""

import json
import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from esm.data import Alphabet
from scipy import stats
from torch.nn import functional

from checkpoints_data import (
    LETTERS,
    encoded,
    fair_model,
    hugging_face_model,
    our_model,
    proteins,
    save_fair,
    save_hugging_face,
    save_run,
)
from plmscale.cli.main import main
from plmscale.errors import InputError
from plmscale.model import evaluate as scoring
from plmscale.model.architecture import ESM1B, OURS
from plmscale.model.encoders import read_weights
from plmscale.model.evaluation import Scores, masked_scores, pseudo_scores, ratio_interval
from plmscale.model.evaluation_masks import EvaluationSettings, masked_row
from plmscale.sequences.alphabet import FIRST_RESIDUE, MASK, STANDARD, TOKENS

LENGTHS = (3, 40, 17, 90, 55, 1, 90, 31)
SETTINGS = EvaluationSettings(max_length=60)


def as_text(tokens: np.ndarray) -> str:
    """A row without START and END, as a user would type it for another library's tokenizer."""
    return "".join(TOKENS[t] for t in tokens[1:-1])


@pytest.fixture(scope="module")
def sequences():
    return encoded(proteins(*LENGTHS))


@pytest.fixture(scope="module")
def fair(tmp_path_factory):
    theirs = fair_model(1)
    weights = read_weights(save_fair(theirs, tmp_path_factory.mktemp("fair") / "esm2_tiny.pt"))
    alphabet = Alphabet.from_architecture("ESM-1b")

    def logits(text: str) -> torch.Tensor:
        _, _, tokens = alphabet.get_batch_converter()([("x", text)])
        with torch.no_grad():
            return theirs(tokens)["logits"][0]

    return weights, logits, alphabet.tok_to_idx


@pytest.fixture(scope="module")
def hugging_face(tmp_path_factory):
    from transformers import EsmForMaskedLM, EsmTokenizer

    folder = save_hugging_face(hugging_face_model(2), tmp_path_factory.mktemp("hf") / "tiny")
    theirs, tokenizer = EsmForMaskedLM.from_pretrained(folder).eval(), EsmTokenizer.from_pretrained(folder)

    def logits(text: str) -> torch.Tensor:
        with torch.no_grad():
            return theirs(**tokenizer(text, return_tensors="pt")).logits[0]

    return read_weights(folder), logits, tokenizer.get_vocab()


@pytest.fixture(params=["fair", "hugging_face"])
def library(request):
    return request.getfixturevalue(request.param)


def test_masked_losses_equal_the_library_s(library, sequences):
    weights, logits, ids = library
    scores = masked_scores(weights.encoder(), sequences, settings=SETTINGS, vocabulary=weights.vocabulary)
    for i, sequence in enumerate(sequences):
        row = masked_row(sequence, SETTINGS)
        targets = torch.tensor([ids[TOKENS[t]] for t in row.targets], dtype=torch.long)
        expected = functional.cross_entropy(logits(as_text(row.tokens))[row.places], targets, reduction="sum")
        assert scores.summed[i] == pytest.approx(float(expected), rel=2e-5, abs=1e-5)
        assert scores.n_predicted[i] == row.places.size
    assert scores.n_tokens == sum(min(n, 58) + 2 for n in LENGTHS)


def test_pseudo_perplexity_equals_a_naive_loop_over_the_library(library, sequences):
    weights, logits, ids = library
    short = [s for s in sequences if s.size <= 40]
    scores = pseudo_scores(weights.encoder(), short, settings=SETTINGS, vocabulary=weights.vocabulary)
    for i, sequence in enumerate(short):
        letters = [TOKENS[t] for t in sequence]
        logs = []
        for at, letter in enumerate(letters):
            text = "".join([*letters[:at], "<mask>", *letters[at + 1 :]])
            logs.append(float(functional.log_softmax(logits(text)[at + 1], dim=-1)[ids[letter]]))
        assert scores.n_predicted[i] == len(letters)
        assert math.exp(scores.summed[i] / len(letters)) == pytest.approx(math.exp(-np.mean(logs)), rel=2e-5)


def test_masks_are_bert_s():
    rows = [masked_row(s, EvaluationSettings()) for s in encoded(proteins(*[200] * 400))]
    original = np.concatenate([row.targets for row in rows])
    shown = np.concatenate([row.tokens[row.places] for row in rows])
    n = 400 * 200
    assert original.size / n == pytest.approx(0.15, abs=4 * math.sqrt(0.15 * 0.85 / n))
    tolerance = 4 * math.sqrt(0.1 * 0.9 / original.size)
    assert np.mean(shown == MASK) == pytest.approx(0.8, abs=2 * tolerance)
    replaced = (shown != MASK) & (shown != original)
    # Of the 10 % that are replaced, some get the letter that was there: 20 of the 25 letters are among the 20.
    assert np.mean(replaced) == pytest.approx(0.1 * (1 - 20 / 25 / 20), abs=tolerance)
    assert np.isin(shown[replaced], STANDARD).all()
    for row in rows:
        assert row.places.min(initial=1) >= 1
        assert row.places.max(initial=1) <= 200


def test_the_mask_of_a_sequence_is_its_own(sequences):
    """Not that of its place, its batch or the company it keeps; another seed gives another."""
    model = our_model()
    whole = masked_scores(model, sequences, settings=SETTINGS)
    for batch_tokens in (1, 130, 10**6):
        other = masked_scores(
            model, sequences[::-1], settings=EvaluationSettings(max_length=60, batch_tokens=batch_tokens)
        )
        np.testing.assert_array_equal(other.n_predicted[::-1], whole.n_predicted)
        np.testing.assert_allclose(other.summed[::-1], whole.summed, rtol=1e-5)
    again = masked_row(sequences[3], SETTINGS)
    np.testing.assert_array_equal(again.tokens, masked_row(sequences[3].copy(), SETTINGS).tokens)
    elsewhere = masked_row(sequences[3], EvaluationSettings(max_length=60, seed=1))
    assert not np.array_equal(again.tokens, elsewhere.tokens)


def test_all_alphabets_are_asked_the_same_questions(sequences):
    """An encoder whose 33-token twin has the same rows gives the same loss but for the softmax over more tokens."""
    ours, twin = our_model(), our_model(vocabulary=ESM1B)
    state = ours.state_dict()
    embedding, bias = torch.zeros(33, 32), torch.full((33,), -1e4)
    embedding[ESM1B.translation], bias[ESM1B.translation] = state["embed_tokens.weight"], state["lm_head.bias"]
    head = {"embed_tokens.weight": embedding, "lm_head.weight": embedding, "lm_head.bias": bias}
    twin.load_state_dict(state | head)
    for score in (masked_scores, pseudo_scores):
        a = score(ours, sequences[:4], settings=SETTINGS, vocabulary=OURS)
        b = score(twin, sequences[:4], settings=SETTINGS, vocabulary=ESM1B)
        np.testing.assert_array_equal(a.n_predicted, b.n_predicted)
        np.testing.assert_allclose(a.summed, b.summed, rtol=1e-6)


def test_ranks_share_the_work_and_add_up_bit_for_bit(sequences, monkeypatch):
    settings, model = EvaluationSettings(max_length=60, batch_tokens=100), our_model()
    whole = masked_scores(model, sequences, settings=settings)
    alone = []
    monkeypatch.setattr("torch.distributed.all_reduce", lambda tensor: None)
    for rank in range(3):
        alone.append(masked_scores(model, sequences, settings=settings, share=(rank, 3)))
    assert all(0 < part.n_predicted.sum() < whole.n_predicted.sum() for part in alone)
    np.testing.assert_array_equal(sum(part.summed for part in alone), whole.summed)
    np.testing.assert_array_equal(sum(part.n_predicted for part in alone), whole.n_predicted)


def test_the_interval_is_that_of_the_bootstrap():
    rng = np.random.default_rng(0)
    n_predicted = rng.poisson(40, size=300)
    summed = n_predicted * rng.normal(2.5, 0.3, size=300)

    def ratio(summed, n_predicted, axis):
        return summed.sum(axis=axis) / n_predicted.sum(axis=axis)

    expected = stats.bootstrap((summed, n_predicted), ratio, paired=True, n_resamples=4000, rng=1, method="percentile")
    loss, low, high = ratio_interval(summed, n_predicted)
    width = expected.confidence_interval.high - expected.confidence_interval.low
    assert loss == summed.sum() / n_predicted.sum()
    assert low == pytest.approx(expected.confidence_interval.low, abs=0.08 * width)
    assert high == pytest.approx(expected.confidence_interval.high, abs=0.08 * width)


def test_the_interval_covers_the_truth_95_times_in_100():
    """Lengths vary, and long sequences are easier: the ratio of means is not the mean of ratios."""
    rng = np.random.default_rng(0)
    n_trials, n = 2000, 60
    lengths = 1 + rng.poisson(rng.gamma(2.0, 20.0, size=(n_trials, n)))
    per_position = 3 - 0.005 * lengths + rng.normal(0, 0.3, size=lengths.shape)
    big = 1 + np.random.default_rng(1).poisson(np.random.default_rng(2).gamma(2.0, 20.0, size=2_000_000))
    truth = ((3 - 0.005 * big) * big).sum() / big.sum()
    covered = 0
    for summed, counts in zip(per_position * lengths, lengths, strict=True):
        _, low, high = ratio_interval(summed, counts)
        covered += low <= truth <= high
    assert covered / n_trials == pytest.approx(0.95, abs=0.02)


def test_what_has_no_interval_has_none():
    one = Scores(np.array([3.0]), np.array([2]), 10).summary()
    assert (one["loss"], one["loss_low"], one["perplexity_high"]) == (1.5, None, None)
    nothing = Scores(np.zeros(2), np.zeros(2, np.int64), 10).summary()
    assert nothing["loss"] is None
    assert nothing["perplexity"] is None
    assert Scores(np.array([math.nan, 1.0]), np.ones(2, np.int64), 10).summary()["loss"] is None


@pytest.fixture
def fasta(tmp_path):
    path = tmp_path / "x.fasta"
    path.write_text("".join(f">p{i} text\n{s}\n" for i, s in enumerate(proteins(*LENGTHS))))
    return path


def test_the_command_scores_a_run(tmp_path, fasta, sequences, capsys):
    run = save_run(our_model(), tmp_path / "run")
    words = ["--model", str(run), "--fasta", str(fasta), "--pseudo-perplexity", "--max-length", "60", "--device", "cpu"]
    words += ["--out", str(tmp_path / "out.json"), "--per-sequence", str(tmp_path / "out.tsv")]
    assert main(["evaluate", *words]) == 0
    result = json.loads((tmp_path / "out.json").read_text())
    expected = masked_scores(our_model(), sequences, settings=SETTINGS)
    assert result["masked"] == expected.summary()
    assert result["masked"]["loss_low"] < result["masked"]["loss"] < result["masked"]["loss_high"]
    assert result["n_shortened"] == 2
    table = [line.split("\t") for line in (tmp_path / "out.tsv").read_text().splitlines()]
    assert [row[0] for row in table[1:]] == [f"p{i}" for i in range(len(LENGTHS))]
    column = {name: [row[i] for row in table[1:]] for i, name in enumerate(table[0])}
    assert column["n_residues"] == [str(n) for n in LENGTHS]
    assert column["masked_n_predicted"] == expected.n_predicted.astype(str).tolist()
    n = np.array(column["pseudo_n_predicted"], float)
    loss = np.array(column["pseudo_loss"], float)
    assert (loss * n).sum() / n.sum() == pytest.approx(result["pseudo"]["loss"], abs=1e-6)
    np.testing.assert_allclose(np.array(column["pseudo_perplexity"], float), np.exp(loss), rtol=1e-5)
    text = capsys.readouterr().out
    assert text.strip() == scoring.report(result)
    assert f"{result['pseudo']['perplexity']:.4f}" in text
    assert "2 of them longer than 58 residues" in text


def test_the_command_says_what_is_wrong_and_writes_nothing(tmp_path, fasta):
    out = tmp_path / "out.json"
    words = ["--model", str(tmp_path / "absent"), "--fasta", str(fasta), "--out", str(out)]
    done = subprocess.run([sys.executable, "-m", "plmscale", "evaluate", *words], capture_output=True, text=True)
    assert done.returncode != 0
    assert done.stderr.startswith("error: ")
    assert "absent does not exist" in done.stderr
    assert not out.exists()


def test_where_nothing_can_be_written_nothing_is_scored(tmp_path, fasta):
    words = ["--model", str(tmp_path / "absent"), "--fasta", str(fasta), "--out", str(fasta / "out.json")]
    with pytest.raises(SystemExit, match=r"error: .*x.fasta is a file.*--out"):
        main(["evaluate", *words])


@pytest.mark.parametrize("option", ["--max-length=2", "--seed=-1", "--batch-tokens=0"])
def test_numbers_out_of_range_are_refused(option):
    with pytest.raises(SystemExit, match=f"error: {option.replace('=', ' is ')}"):
        main(["evaluate", "--model", "m", "--fasta", "f", option])


def test_a_file_without_residues_is_refused(tmp_path):
    (tmp_path / "empty.fasta").write_text(">a\n>b\n")
    with pytest.raises(InputError, match="2 records, none of them with residues"):
        scoring.read_fasta(tmp_path / "empty.fasta")


def test_the_order_of_letters_is_fair_esm_s():
    assert "".join(TOKENS[FIRST_RESIDUE:MASK]) == LETTERS
    assert list(ESM1B.tokens) == Alphabet.from_architecture("ESM-1b").all_toks
