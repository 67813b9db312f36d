"""Masked loss and pseudo-perplexity of an encoder on a set of sequences."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from scipy.special import stdtrit
from torch import Tensor, nn
from torch.nn import functional

from .architecture import OURS, Vocabulary
from .evaluation_masks import EvaluationSettings, Row, masked_row, single_row

CONFIDENCE = 0.95
"""Coverage of the intervals."""

_EVERY_RESIDUE = -1
_LARGEST_EXPONENT = 700.0  # exp of more than 709 overflows


@dataclass(frozen=True)
class Scores:
    """Summed losses, sequence by sequence.

    Attributes
    ----------
    summed : ndarray of float64, shape (n_sequences,)
        Cross-entropy in nats, summed over the positions that were predicted.
    n_predicted : ndarray of int64, shape (n_sequences,)
        How many these are; 0 is possible for a very short sequence.
    n_tokens : int
        Positions of all sequences, START and END included.
    """

    summed: NDArray[np.float64]
    n_predicted: NDArray[np.int64]
    n_tokens: int

    def summary(self) -> dict[str, float | int | None]:
        """Loss in nats per predicted position, perplexity, and their intervals; what a run record holds.

        The loss is a ratio of two sums over sequences. Its interval is that of the ratio estimator (Cochran 1977,
        *Sampling Techniques*, chapter 6): residuals summed - loss · n_predicted, Student's t with n - 1 degrees of
        freedom.
        It says what other sequences drawn the same way would give, not what another training seed would.
        Perplexity and its interval are the exponentials. Numbers that do not exist are None: all where nothing was
        predicted or the loss is not finite, the intervals where there are fewer than two sequences.
        """
        counts = {
            "n_sequences": int(self.summed.size),
            "n_predicted": int(self.n_predicted.sum()),
            "n_tokens": self.n_tokens,
        }
        loss, low, high = ratio_interval(self.summed, self.n_predicted)
        exponentials = [None if x is None or x > _LARGEST_EXPONENT else math.exp(x) for x in (loss, low, high)]
        losses = dict(zip(("loss", "loss_low", "loss_high"), (loss, low, high), strict=True))
        names = ("perplexity", "perplexity_low", "perplexity_high")
        return losses | dict(zip(names, exponentials, strict=True)) | counts


def ratio_interval(
    numerator: NDArray[np.float64], denominator: NDArray[np.int64]
) -> tuple[float | None, float | None, float | None]:
    """Σ numerator / Σ denominator and its 95 % interval over the units; see `Scores.summary`.

    Examples
    --------
    >>> ratio_interval(np.array([2.0, 4.0]), np.array([1, 2]))
    (2.0, 2.0, 2.0)
    """
    total, n = float(denominator.sum()), numerator.size
    ratio = float(numerator.sum()) / total if total else math.nan
    if not math.isfinite(ratio):
        return None, None, None
    if n < 2:
        return ratio, None, None
    residuals = numerator - ratio * denominator
    error = math.sqrt(n / (n - 1) * float(residuals @ residuals)) / total
    half = float(stdtrit(n - 1, (1 + CONFIDENCE) / 2)) * error
    return ratio, ratio - half, ratio + half


def masked_scores(
    model: nn.Module,
    sequences: Sequence[NDArray[np.uint8]],
    *,
    settings: EvaluationSettings,
    vocabulary: Vocabulary = OURS,
    share: tuple[int, int] = (0, 1),
    each: Callable[[], None] = lambda: None,
) -> Scores:
    """Masked-language-model loss: one forward row per sequence.

    Parameters
    ----------
    model : nn.Module
        `ESM2`, or what is called as it is with `lengths`.
    sequences : sequence of ndarray of uint8
        Residue ids of the 29 tokens, without START and END; each of one residue or more.
    settings : EvaluationSettings
    vocabulary : Vocabulary
        The model's tokens. The softmax is over all of them.
    share : tuple of int
        Rank and number of ranks, each of which does its share; all get the whole result.
    each : callable
        Called before each batch, by all ranks alike; it may end the evaluation by an exception.

    Returns
    -------
    Scores
    """
    residues = np.full(len(sequences), _EVERY_RESIDUE, dtype=np.int64)
    work = _Work(sequences, np.arange(len(sequences)), residues, settings)
    return _scores(model, work, vocabulary=vocabulary, share=share, each=each)


def pseudo_scores(
    model: nn.Module,
    sequences: Sequence[NDArray[np.uint8]],
    *,
    settings: EvaluationSettings,
    vocabulary: Vocabulary = OURS,
    share: tuple[int, int] = (0, 1),
) -> Scores:
    """Loss of every residue where it alone is masked: one forward row per residue.

    exp(summed / n_predicted) of a sequence is its pseudo-perplexity as Lin et al. 2023 (ESM-2) define it. A sequence of
    n residues costs n forward passes where `masked_scores` costs one. `settings.masking` is not used; parameters and
    result are those of `masked_scores`.
    """
    lengths = _window_lengths(sequences, settings)
    owner = np.repeat(np.arange(len(sequences)), lengths)
    residues = np.arange(owner.size) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    work = _Work(sequences, owner, residues, settings)
    return _scores(model, work, vocabulary=vocabulary, share=share, each=lambda: None)


def _window_lengths(sequences: Sequence[NDArray[np.uint8]], settings: EvaluationSettings) -> NDArray[np.int64]:
    lengths = np.fromiter((s.size for s in sequences), dtype=np.int64, count=len(sequences))
    return np.minimum(lengths, settings.max_length - 2)


@dataclass(frozen=True)
class _Work:
    """Rows to be scored: row i is of sequence `owner[i]`, its residue `residues[i]` masked, or BERT's for all."""

    sequences: Sequence[NDArray[np.uint8]]
    owner: NDArray[np.int64]
    residues: NDArray[np.int64]
    settings: EvaluationSettings

    def row(self, i: int) -> Row:
        sequence, residue = self.sequences[self.owner[i]], int(self.residues[i])
        if residue == _EVERY_RESIDUE:
            return masked_row(sequence, self.settings)
        return single_row(sequence, self.settings, residue)

    def batches(self) -> Iterator[NDArray[np.int64]]:
        """Rows of similar length, as many at a time as `batch_tokens` allows."""
        lengths = _window_lengths(self.sequences, self.settings)[self.owner] + 2
        order = np.argsort(lengths, kind="stable")
        ends = np.cumsum(lengths[order])
        begin = 0
        while begin < order.size:
            limit = ends[begin] - lengths[order[begin]] + self.settings.batch_tokens
            end = max(begin + 1, int(np.searchsorted(ends, limit, side="right")))
            yield order[begin:end]
            begin = end


@torch.no_grad()
def _scores(
    model: nn.Module, work: _Work, *, vocabulary: Vocabulary, share: tuple[int, int], each: Callable[[], None]
) -> Scores:
    rank, world = share
    device = next(model.parameters()).device
    n = len(work.sequences)
    # Each row is scored by one rank, so that adding up over ranks adds zeros: the result is theirs bit for bit.
    sums = np.zeros((2, n))
    model.eval()
    for number, rows in enumerate(work.batches()):
        each()
        if number % world == rank:
            batch = [work.row(i) for i in rows.tolist()]
            owner = np.repeat(work.owner[rows], [row.places.size for row in batch])
            np.add.at(sums[0], owner, _losses(model, batch, vocabulary, device))
            np.add.at(sums[1], owner, 1)
    if world > 1:
        whole = torch.from_numpy(sums).to(device)
        dist.all_reduce(whole)
        sums = whole.cpu().numpy()
    n_tokens = int((_window_lengths(work.sequences, work.settings) + 2).sum())
    return Scores(sums[0], sums[1].astype(np.int64), n_tokens)


def _losses(model: nn.Module, rows: list[Row], vocabulary: Vocabulary, device: torch.device) -> NDArray[np.float64]:
    """Cross-entropy in nats at every place to be predicted, row after row."""
    lengths = np.array([row.tokens.size for row in rows])
    begins = np.cumsum(lengths) - lengths
    places = np.concatenate([begin + row.places for begin, row in zip(begins, rows, strict=True)])
    if not places.size:
        return np.zeros(0)

    def translated(parts: list[NDArray[np.uint8]]) -> Tensor:
        return torch.from_numpy(vocabulary.translation[np.concatenate(parts)]).to(device)

    tokens, targets = translated([row.tokens for row in rows]), translated([row.targets for row in rows])
    logits = model(tokens, torch.from_numpy(places), lengths=torch.from_numpy(lengths))
    return functional.cross_entropy(logits.float(), targets, reduction="none").cpu().double().numpy()
