"""Batches of a fixed number of tokens, and BERT masking.

Order, windows and masks are functions of (seed, step, sequence) alone. So a run can be taken up at any step, and ranks
and accumulation share out one global batch whose content does not depend on how many of them there are.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from .alphabet import END, MASK, PAD, STANDARD, START
from .config import Training
from .store import Store

WINDOW_BATCHES = 50
"""Batches in a shuffled window inside which sequences are bucketed by length: a few per cent of padding remain."""


@dataclass(frozen=True)
class MicroBatch:
    """What one rank processes at a time.

    Attributes
    ----------
    tokens : ndarray of uint8, shape (n, length)
        Inputs after masking, padded with PAD.
    select : ndarray of int64, shape (k,)
        Flat positions (row · length + column) to be predicted.
    targets : ndarray of uint8, shape (k,)
        The tokens that stood there.
    """

    tokens: np.ndarray
    select: np.ndarray
    targets: np.ndarray


@dataclass(frozen=True)
class GlobalBatch:
    """One optimizer step's sequences over all ranks, masked, one after the other.

    Attributes
    ----------
    inputs, originals : ndarray of uint8, shape (n_tokens,)
        Tokens with and without masking, START and END included.
    lengths : ndarray of int64, shape (n,)
        Positions of each sequence, ascending.
    predicted : ndarray of bool, shape (n_tokens,)
    """

    inputs: np.ndarray
    originals: np.ndarray
    lengths: np.ndarray
    predicted: np.ndarray

    @property
    def n_predicted(self) -> int:
        """Positions to be predicted."""
        return int(self.predicted.sum())

    def micro_batches(self, n_chunks: int) -> list[MicroBatch]:
        """Split into `n_chunks` micro-batches of about equally many tokens and similar lengths; some may be empty."""
        ends = np.cumsum(self.lengths)
        edges = np.searchsorted(ends, np.arange(1, n_chunks) * ends[-1] / n_chunks, side="left") + 1
        edges = np.concatenate(([0], np.minimum(edges, self.lengths.size), [self.lengths.size]))
        return [self._padded(a, max(a, b), ends) for a, b in zip(edges[:-1], edges[1:], strict=True)]

    def _padded(self, first: int, last: int, ends: np.ndarray) -> MicroBatch:
        if first == last:
            nothing = np.zeros(0, np.uint8)
            return MicroBatch(np.array([[START, END]], np.uint8), np.zeros(0, np.int64), nothing)
        lengths = self.lengths[first:last]
        begin, end = ends[first] - lengths[0], ends[last - 1]
        width = int(lengths.max())
        filled = np.arange(width) < lengths[:, None]
        tokens = np.full(filled.shape, PAD, np.uint8)
        tokens[filled] = self.inputs[begin:end]
        flat = np.flatnonzero(filled)
        predicted = self.predicted[begin:end]
        return MicroBatch(tokens, flat[predicted], self.originals[begin:end][predicted])


def plan_batches(
    lengths: np.ndarray, *, batch_tokens: int, order: Literal["bucketed", "sorted"], seed: int
) -> list[np.ndarray]:
    """Share out sequences over batches of at most `batch_tokens` tokens.

    Parameters
    ----------
    lengths : ndarray of int, shape (n,)
        Positions of each sequence, START and END included.
    batch_tokens : int
        Token limit of a batch. A batch holds at least one sequence.
    order : {"bucketed", "sorted"}
        `sorted`: by length over the whole set (the paper). `bucketed`: by length inside shuffled windows, and the
        batches shuffled, so that length does not become a curriculum.
    seed : int

    Returns
    -------
    list of ndarray of int64
        Positions in `lengths`, each exactly once, by batch in the order of training.
    """
    rng = np.random.Generator(np.random.Philox(key=[seed, 0]))
    if order == "sorted":
        sequence = np.argsort(lengths, kind="stable")
    else:
        sequence = rng.permutation(lengths.size)
        window = max(1, round(WINDOW_BATCHES * batch_tokens / lengths.mean()))
        parts = [sequence[i : i + window] for i in range(0, sequence.size, window)]
        sequence = np.concatenate([part[np.argsort(lengths[part], kind="stable")] for part in parts])
    ends = np.cumsum(lengths[sequence])
    edges = [0]
    while edges[-1] < sequence.size:
        done = ends[edges[-1] - 1] if edges[-1] else 0
        edges.append(max(edges[-1] + 1, int(np.searchsorted(ends, done + batch_tokens, side="right"))))
    batches = [sequence[a:b] for a, b in zip(edges[:-1], edges[1:], strict=True)]
    if order == "bucketed":
        batches = [batches[i] for i in rng.permutation(len(batches))]
    return batches


class Batches:
    """The batches of one pass over a set.

    Parameters
    ----------
    store : Store
    ids : ndarray of int64
        The set: ids into the store.
    training : Training
        Batch size, order and masking.
    max_length : int
        Longest input in positions, START and END included.
    seed : int
    """

    def __init__(self, store: Store, ids: np.ndarray, *, training: Training, max_length: int, seed: int) -> None:
        self._store, self._ids, self._masking, self._seed = store, ids, training.masking, seed
        self._max_residues = max_length - 2
        self._lengths = np.minimum(store.lengths[ids], self._max_residues) + 2
        self._plan = plan_batches(self._lengths, batch_tokens=training.batch_tokens, order=training.order, seed=seed)

    def __len__(self) -> int:
        return len(self._plan)

    @property
    def n_tokens(self) -> int:
        """Tokens of the whole pass, START and END included."""
        return int(self._lengths.sum())

    def batch(self, step: int) -> GlobalBatch:
        """The global batch of a step, masked."""
        rng = np.random.Generator(np.random.Philox(key=[self._seed, step + 1]))
        chosen = self._plan[step]
        chosen = chosen[np.argsort(self._lengths[chosen], kind="stable")]
        lengths = self._lengths[chosen]
        originals = self._gather(self._ids[chosen], lengths, rng)
        predicted = rng.random(originals.size) < self._masking.fraction
        predicted &= (originals != START) & (originals != END)
        return GlobalBatch(self._masked(originals, predicted, rng), originals, lengths, predicted)

    def _gather(self, ids: np.ndarray, lengths: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Sequences one after the other, each with START and END; of a longer one a window at a random place."""
        residues = lengths - 2
        spare = self._store.lengths[ids] - residues
        begins = self._store.offsets[ids] + (rng.random(ids.size) * (spare + 1)).astype(np.int64)
        ends = np.cumsum(lengths)
        flat = np.empty(int(ends[-1]), np.uint8)
        flat[ends - lengths], flat[ends - 1] = START, END
        inside = np.ones(flat.size, bool)
        inside[ends - lengths] = inside[ends - 1] = False
        within = np.arange(int(residues.sum())) - np.repeat(np.cumsum(residues) - residues, residues)
        flat[inside] = self._store.tokens[np.repeat(begins, residues) + within]
        return flat

    def _masked(self, originals: np.ndarray, predicted: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        inputs = originals.copy()
        where = np.flatnonzero(predicted)
        kind = rng.random(where.size)
        mask_share = self._masking.mask_share
        inputs[where[kind < mask_share]] = MASK
        swapped = where[(kind >= mask_share) & (kind < mask_share + self._masking.random_share)]
        inputs[swapped] = np.asarray(STANDARD, np.uint8)[rng.integers(len(STANDARD), size=swapped.size)]
        return inputs
