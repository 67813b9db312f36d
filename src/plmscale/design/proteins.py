"""Proteins counted before any study: sequences, and the tokens that a pass over them shows."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..sequences.fasta import FastaReader
from ..sets.ranks import lowest
from ..sets.subsets import HOLDOUT_SALT
from ..study.config import Config

HOLDOUT_SHARE = 20
"""One sequence of so many is a candidate for the holdout, up to the configuration's default."""


@dataclass(frozen=True)
class Proteins:
    """Sequences of a FASTA that are trained on, the candidates of the holdout left out.

    Attributes
    ----------
    path : Path
        Absolute.
    lengths : ndarray of int64, shape (n,)
        Residues of each.
    n_holdout : int
        Candidates of the holdout.
    """

    path: Path
    lengths: NDArray[np.int64]
    n_holdout: int

    @property
    def n_sequences(self) -> int:
        """Sequences to train on."""
        return self.lengths.size

    @property
    def n_residues(self) -> int:
        """Their residues."""
        return int(self.lengths.sum())

    def tokens(self, max_length: int) -> int:
        """Tokens of one pass at a greatest length in positions, START and END among them: as a set counts them."""
        return int(np.minimum(self.lengths, max_length - 2).sum()) + 2 * self.n_sequences


def count_proteins(path: Path) -> Proteins:
    """Count a FASTA as a study would: the same candidates of the holdout leave.

    Raises
    ------
    InputError
        If it is none.
    """
    lengths, keys = [], []
    for records in FastaReader(path):
        lengths.append(records.lengths)
        keys.append(records.keys)
    every = np.concatenate(lengths)
    config = Config()
    n_holdout = max(1, min(config.holdout.n_sequences, every.size // HOLDOUT_SHARE))
    among = np.ones(every.size, dtype=np.bool_)
    held = lowest(np.concatenate(keys), among, n=n_holdout, seed=config.data_seed, salt=HOLDOUT_SALT)
    return Proteins(path.resolve(), np.delete(every, held), n_holdout)
