"""Batches hold every sequence once, within the limit, masked as BERT masks, whatever the ranks."""

import numpy as np
import pytest

from plmscale.alphabet import END, MASK, PAD, STANDARD, START
from plmscale.batches import Batches, plan_batches
from plmscale.config import Masking, Training
from plmscale.store import Store, build_store

LENGTHS = np.random.default_rng(0).integers(4, 400, size=700)


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    folder = tmp_path_factory.mktemp("store")
    rng = np.random.default_rng(1)
    letters = np.array(list("LAGVSERTIDPKQNFYMHWC"))
    records = (f">p{i}\n{''.join(rng.choice(letters, size=n))}\n" for i, n in enumerate(LENGTHS))
    (folder / "proteins.fasta").write_text("".join(records))
    build_store(folder / "proteins.fasta", folder / "store")
    return Store.open(folder / "store")


def batches(store: Store, *, seed: int = 0, max_length: int = 128, batch_tokens: int = 2000, **masking) -> Batches:
    training = Training(batch_tokens=batch_tokens, masking=Masking(**masking))
    return Batches(store, np.arange(store.n_sequences), training=training, max_length=max_length, seed=seed)


@pytest.mark.parametrize("order", ["bucketed", "sorted"])
@pytest.mark.parametrize("limit", [300, 5000, 10**9])
def test_every_sequence_once_and_within_the_limit(order, limit):
    plan = plan_batches(LENGTHS, batch_tokens=limit, order=order, seed=3)
    assert np.array_equal(np.sort(np.concatenate(plan)), np.arange(LENGTHS.size))
    sizes = np.array([LENGTHS[b].sum() for b in plan])
    assert all(s <= limit for s, b in zip(sizes, plan, strict=True) if b.size > 1)
    assert len(plan) == 1 or np.mean(sizes[:-1]) > 0.8 * limit


def test_sorted_is_the_papers_curriculum_and_bucketed_is_none():
    means = {
        order: np.array([LENGTHS[b].mean() for b in plan_batches(LENGTHS, batch_tokens=2000, order=order, seed=0)])
        for order in ("sorted", "bucketed")
    }
    assert np.all(np.diff(means["sorted"]) >= 0)
    assert abs(np.corrcoef(means["bucketed"], np.arange(means["bucketed"].size))[0, 1]) < 0.5


def test_an_overlong_sequence_is_a_batch_of_its_own():
    plan = plan_batches(np.array([10, 900, 10]), batch_tokens=100, order="sorted", seed=0)
    assert [b.tolist() for b in plan] == [[0, 2], [1]]


def test_content_without_masking_is_a_window_of_each_sequence(store):
    whole = batches(store, batch_tokens=10**9)
    batch = whole.batch(0)
    starts = np.cumsum(batch.lengths) - batch.lengths
    texts = [bytes(store.sequence(i)) for i in range(store.n_sequences)]
    for start, length in zip(starts, batch.lengths, strict=True):
        row = batch.originals[start : start + length]
        assert row[0] == START
        assert row[-1] == END
        assert any(bytes(row[1:-1]) in text for text in texts)
    assert whole.n_tokens == np.minimum(LENGTHS + 2, 128).sum() == batch.originals.size


def test_masking_rates_are_berts(store):
    counts = np.zeros(4)
    for seed in range(5):
        batch = batches(store, seed=seed, batch_tokens=10**9, max_length=402).batch(0)
        residues = (batch.originals != START) & (batch.originals != END)
        chosen = batch.predicted
        assert not chosen[~residues].any()
        changed = batch.inputs != batch.originals
        assert not changed[~chosen].any()
        masked = chosen & (batch.inputs == MASK)
        swapped = chosen & changed & ~masked
        assert np.isin(batch.inputs[swapped], STANDARD).all()
        counts += [residues.sum(), chosen.sum(), masked.sum(), swapped.sum()]
    n, chosen, masked, swapped = counts
    # Five standard deviations of a binomial; a random residue is the old one in about 1 of 20 cases.
    assert chosen / n == pytest.approx(0.15, abs=5 * np.sqrt(0.15 * 0.85 / n))
    assert masked / chosen == pytest.approx(0.8, abs=5 * np.sqrt(0.16 / chosen))
    assert swapped / chosen == pytest.approx(0.095, abs=5 * np.sqrt(0.086 / chosen))


@pytest.mark.parametrize("n_chunks", [1, 2, 3, 8])
def test_micro_batches_share_out_one_global_batch(store, n_chunks):
    batch = batches(store).batch(2)
    micros = batch.micro_batches(n_chunks)
    assert len(micros) == n_chunks
    inputs = np.concatenate([m.tokens[m.tokens != PAD] for m in micros])
    targets = np.concatenate([m.targets for m in micros])
    assert np.array_equal(inputs, batch.inputs)
    assert np.array_equal(targets, batch.originals[batch.predicted])
    for micro in micros:
        assert np.all(micro.tokens.reshape(-1)[micro.select] != PAD)
    sizes = [(m.tokens != PAD).sum() for m in micros]
    assert max(sizes) - min(sizes) <= 2 * batch.lengths.max()


def test_more_micro_batches_than_sequences_gives_empty_ones(store):
    batch = batches(store, batch_tokens=1).batch(0)
    micros = batch.micro_batches(4)
    assert sum(m.select.size for m in micros) == batch.n_predicted
    assert sum(m.select.size == 0 for m in micros) >= 3
    assert all(m.tokens.size for m in micros)


def test_batches_are_functions_of_seed_and_step_alone(store):
    first, again, other = batches(store), batches(store), batches(store, seed=1)
    for step in (5, 0, 3):  # in another order, as after a resume
        assert np.array_equal(first.batch(step).inputs, again.batch(step).inputs)
    assert not np.array_equal(first.batch(0).inputs, other.batch(0).inputs)


def test_padding_stays_small(store):
    found = batches(store, max_length=402, batch_tokens=4000)
    padded = sum(found.batch(i).micro_batches(1)[0].tokens.size for i in range(len(found)))
    assert padded / found.n_tokens < 1.15
