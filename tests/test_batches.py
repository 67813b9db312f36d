"""Batches hold every sequence once, within the limit, masked as BERT masks, whatever the ranks."""

import numpy as np
import pytest

import plmscale.sets.batches as batches_module
from plmscale.sequences.alphabet import END, MASK, STANDARD, START
from plmscale.sequences.store import Store, build_store
from plmscale.sets.batch_plan import plan_batches
from plmscale.sets.batches import Batches, MicroBatch, Prefetcher
from plmscale.study.config import Masking, Training

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


def greedy(lengths, sequence, limit):
    """Batches by the definition: the next sequence begins a new one if it does not fit."""
    found = [[]]
    for position in sequence:
        if found[-1] and sum(lengths[i] for i in found[-1]) + lengths[position] > limit:
            found.append([])
        found[-1].append(position)
    return found


@pytest.mark.parametrize("limit", [1, 390, 3000])
def test_sorted_plans_are_greedy_on_numpys_stable_sort(limit):
    plan = plan_batches(LENGTHS, batch_tokens=limit, order="sorted", seed=3)
    assert [b.tolist() for b in plan] == greedy(LENGTHS, np.argsort(LENGTHS, kind="stable").tolist(), limit)


def test_sorted_is_the_papers_curriculum_and_bucketed_is_none():
    lengths = np.minimum(np.random.default_rng(5).lognormal(5.6, 0.7, 200_000).astype(int) + 10, 1024)
    means = {}
    for order in ("sorted", "bucketed"):
        plan = plan_batches(lengths, batch_tokens=5000, order=order, seed=0)
        means[order] = np.array([lengths[b].mean() for b in plan])
    assert np.all(np.diff(means["sorted"]) >= 0)
    shuffled = means["bucketed"]
    limit = 4 / np.sqrt(shuffled.size)  # four standard deviations of a correlation of independent values
    assert abs(np.corrcoef(shuffled, np.arange(shuffled.size))[0, 1]) < limit
    assert abs(np.corrcoef(shuffled[1:], shuffled[:-1])[0, 1]) < limit


def test_windows_are_random_whatever_the_order_of_the_store():
    """Which sequences meet in a batch must not follow from where they stand in the store."""
    lengths = np.full(100_000, 100)
    plan = plan_batches(lengths, batch_tokens=2000, order="bucketed", seed=0)
    neighbours = sum(int((np.diff(np.sort(b)) == 1).sum()) for b in plan)
    n_windows = round(100_000 * 100 / 2000 / 50)
    # Of equal length, members of a window stand in the order of the store: neighbours with the chance of one window.
    assert neighbours == pytest.approx(100_000 / n_windows, rel=0.25)


def test_plans_of_other_seeds_and_epochs_differ_and_of_the_same_agree():
    def plan(**which):
        return [b.tolist() for b in plan_batches(LENGTHS, batch_tokens=500, order="bucketed", **which)]

    assert plan(seed=1) == plan(seed=1, epoch=0)
    assert plan(seed=1) != plan(seed=2)
    assert plan(seed=1) != plan(seed=1, epoch=1)
    assert sorted(sum(plan(seed=1, epoch=1), [])) == list(range(LENGTHS.size))


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.int64])
def test_plans_do_not_depend_on_the_type_of_lengths_and_stay_small(dtype):
    plans = [plan_batches(x, batch_tokens=500, order="bucketed", seed=1) for x in (LENGTHS, LENGTHS.astype(dtype))]
    assert [b.tolist() for b in plans[0]] == [b.tolist() for b in plans[1]]
    assert plans[0].n_bytes == 4 * LENGTHS.size + 8 * (len(plans[0]) + 1) + 4 * len(plans[0])
    assert plans[0][-1].tolist() == plans[0][len(plans[0]) - 1].tolist()
    assert [b.tolist() for b in plans[0][1:3]] == [plans[0][1].tolist(), plans[0][2].tolist()]
    with pytest.raises(IndexError):
        plans[0][len(plans[0])]


@pytest.mark.parametrize("order", ["bucketed", "sorted"])
def test_padding_share_by_hand(order):
    plan = plan_batches(LENGTHS, batch_tokens=2500, order=order, seed=0)
    rectangles = sum(LENGTHS[b].max() * b.size for b in plan)
    assert plan.padding_share(LENGTHS) == pytest.approx(1 - LENGTHS.sum() / rectangles)


def test_padding_of_bucketed_batches_is_a_few_per_cent_of_that_of_random_ones():
    lengths = np.minimum(np.random.default_rng(5).lognormal(5.6, 0.7, 300_000).astype(int) + 2, 1024)
    plan = plan_batches(lengths, batch_tokens=50_000, order="bucketed", seed=0)
    order = np.random.default_rng(0).permutation(lengths.size)
    parts = np.array_split(order, len(plan))
    random_order = 1 - lengths.sum() / sum(lengths[p].max() * p.size for p in parts)
    assert random_order > 0.6
    assert plan.padding_share(lengths) < 0.03


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


def _restored(micro: MicroBatch) -> np.ndarray:
    tokens = micro.tokens.copy()
    tokens[micro.select] = micro.targets
    return tokens


@pytest.mark.parametrize("n_chunks", [1, 2, 3, 8])
def test_micro_batches_share_out_one_global_batch(store, n_chunks):
    batch = batches(store).batch(2)
    micros = batch.micro_batches(n_chunks)
    assert len(micros) == n_chunks
    inputs = np.concatenate([m.tokens for m in micros])
    targets = np.concatenate([m.targets for m in micros])
    assert np.array_equal(inputs, batch.inputs)
    assert np.array_equal(targets, batch.originals[batch.predicted])
    assert np.array_equal(np.concatenate([m.lengths for m in micros]), batch.lengths)
    restored = np.concatenate([_restored(m) for m in micros])
    assert np.array_equal(restored, batch.originals)
    sizes = [m.tokens.size for m in micros]
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


def test_nothing_is_padded(store):
    found = batches(store, max_length=402, batch_tokens=4000)
    trained_on = sum(found.batch(i).micro_batches(1)[0].tokens.size for i in range(len(found)))
    assert trained_on == found.n_tokens


@pytest.mark.parametrize("worth_a_thread", [1, 10**9])
def test_batches_prepared_ahead_are_the_same(store, monkeypatch, worth_a_thread):
    monkeypatch.setattr(batches_module, "_WORTH_A_THREAD", worth_a_thread)
    found = batches(store)
    ahead = Prefetcher(found)
    last = len(found) - 1
    for step in (0, 1, 2, 7, 8, 3, last - 1, last):  # jumps, as after a resume
        assert np.array_equal(ahead.batch(step).inputs, found.batch(step).inputs)
