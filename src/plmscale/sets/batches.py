"""Batches of a fixed number of tokens, masked (`masking`).

Order, windows and masks are functions of (seed, step, sequence) alone, steps counted through all passes. So a run can
be taken up at any step, and ranks and accumulation share out one global batch whose content does not depend on how many
of them there are.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from ..sequences.alphabet import END, START
from ..sequences.store import Store
from ..study.config import Training
from .masking import masked
from .passes import Passes


@dataclass(frozen=True)
class MicroBatch:
    """What one rank processes at a time.

    Attributes
    ----------
    tokens : ndarray of uint8, shape (n_tokens,)
        Inputs after masking, sequences one after the other.
    lengths : ndarray of int64, shape (n,)
        Positions of each sequence.
    select : ndarray of int64, shape (k,)
        Ascending positions to be predicted.
    targets : ndarray of uint8, shape (k,)
        The tokens that stood there.
    """

    tokens: np.ndarray
    lengths: np.ndarray
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
        return [self._part(a, max(a, b), ends) for a, b in zip(edges[:-1], edges[1:], strict=True)]

    def _part(self, first: int, last: int, ends: np.ndarray) -> MicroBatch:
        if first == last:
            nothing = np.zeros(0, np.uint8)
            return MicroBatch(np.array([START, END], np.uint8), np.array([2]), np.zeros(0, np.int64), nothing)
        begin, end = ends[first] - self.lengths[first], ends[last - 1]
        select = np.flatnonzero(self.predicted[begin:end])
        return MicroBatch(self.inputs[begin:end], self.lengths[first:last], select, self.originals[begin:end][select])


class Batches:
    """The batches of one pass over a set, of several, or of a part of one.

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
    epochs : float
        Passes, see `plmscale.sets.passes.Passes`.
    """

    def __init__(
        self, store: Store, ids: np.ndarray, *, training: Training, max_length: int, seed: int, epochs: float = 1.0
    ) -> None:
        self._store, self._ids, self._masking, self._seed = store, ids, training.masking, seed
        self._lengths = store.input_lengths(ids, max_length=max_length)
        self.passes = Passes(
            self._lengths, epochs=epochs, batch_tokens=training.batch_tokens, order=training.order, seed=seed
        )

    def __len__(self) -> int:
        return len(self.passes)

    @property
    def n_tokens(self) -> int:
        """Tokens of the whole run, START and END included."""
        return self.passes.n_tokens

    def batch(self, step: int) -> GlobalBatch:
        """The global batch of a step, masked."""
        rng = np.random.Generator(np.random.Philox(key=[self._seed, step + 1]))
        chosen = self.passes[step]
        chosen = chosen[np.argsort(self._lengths[chosen], kind="stable")]
        lengths = self._lengths[chosen].astype(np.int64)
        originals = self._gather(self._ids[chosen], lengths, rng)
        inputs, predicted = masked(originals, settings=self._masking, rng=rng)
        return GlobalBatch(inputs, originals, lengths, predicted)

    def _gather(self, ids: np.ndarray, lengths: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Sequences one after the other, each with START and END; of a longer one a window at a random place."""
        residues = lengths - 2
        spare = self._store.offsets[ids + 1] - self._store.offsets[ids] - residues
        begins = self._store.offsets[ids] + (rng.random(ids.size) * (spare + 1)).astype(np.int64)
        ends = np.cumsum(lengths)
        flat = np.empty(int(ends[-1]), np.uint8)
        flat[ends - lengths], flat[ends - 1] = START, END
        inside = np.ones(flat.size, bool)
        inside[ends - lengths] = inside[ends - 1] = False
        within = np.arange(int(residues.sum())) - np.repeat(np.cumsum(residues) - residues, residues)
        flat[inside] = self._store.tokens[np.repeat(begins, residues) + within]
        return flat


_WORTH_A_THREAD = 8_192
"""Tokens of a batch from which on preparing it takes longer than to hand it from one thread to another (0.7 ms)."""


class Prefetcher:
    """Batches in the order of training, each prepared in a thread while the one before is trained on.

    Small ones are prepared when they are asked for.

    Parameters
    ----------
    batches : Batches
    """

    def __init__(self, batches: Batches) -> None:
        self._batches = batches
        self._ahead = batches.n_tokens >= _WORTH_A_THREAD * len(batches)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches")
        self._step: int | None = None
        self._prepared: Future[GlobalBatch] | None = None

    def batch(self, step: int) -> GlobalBatch:
        """The global batch of a step, whatever was asked for before; the next step's is then begun."""
        prepared = self._prepared if self._prepared is not None and self._step == step else None
        found = prepared.result() if prepared is not None else self._batches.batch(step)
        self._step, self._prepared = step + 1, None
        if self._ahead and step + 1 < len(self._batches):
            self._prepared = self._thread.submit(self._batches.batch, step + 1)
        return found
