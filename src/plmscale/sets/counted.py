"""Which sets on disk are those that a configuration defines: only these may be counted in its plan."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..files import read_as, read_object
from ..study.config import Config, Subset
from ..study.study import Study
from .mmseqs import MmseqsSettings, cluster_command


def counted_tokens(results: Path, *, study: Study) -> dict[str, int]:
    """`n_tokens` of the sets in `results/subsets` that were made as the study defines them now.

    Left out, and so estimated by a plan, are sets that are not there, and sets of the same name that were made from
    another row of the table, with other settings, or from a store of another number of sequences: their rules make them
    again.

    Parameters
    ----------
    results : Path
        Folder of the results.
    study : Study

    Returns
    -------
    dict of str to int
        Tokens of one pass by set; of a set of kind `passes`, of all its passes.
    """
    found = _Sets(results, study)
    return {row.name: found.counts[row.name]["n_tokens"] for row in study.subsets if found.made_as(row)}


class _Sets:
    """The counts of the sets of a study that are on disk, and whether they are those of its rows."""

    def __init__(self, results: Path, study: Study) -> None:
        files = {row.name: results / f"subsets/{row.name}.json" for row in study.subsets}
        stats = results / "store/stats.json"
        self.counts: dict[str, Mapping[str, Any]] = {
            n: read_object(path) for n, path in files.items() if path.is_file()
        }
        self._rows = {row.name: row for row in study.subsets}
        self._known: dict[str, bool] = {}
        self._config: Config = study.config
        with read_as("the record of a store", where=stats):
            n_store = int(read_object(stats)["n_sequences"]) if stats.is_file() else None
        self._n_pool = None if n_store is None else n_store - study.config.holdout.n_sequences

    def made_as(self, row: Subset) -> bool:
        """Whether the set on disk is the one that its row defines."""
        if row.name not in self._known:
            self._known[row.name] = False  # of two samples that have each other's size neither is
            self._known[row.name] = self._made_as(row, self.counts.get(row.name, {}))
        return self._known[row.name]

    def _made_as(self, row: Subset, counts: Mapping[str, Any]) -> bool:
        if counts.get("kind") != row.kind or counts.get("max_length") != self._config.max_length:
            return False
        if row.of is not None:
            return (counts.get("of"), counts.get("epochs")) == (row.of, row.epochs) and self.made_as(self._rows[row.of])
        return self._of_this_pool(counts) and self._as_defined(row, counts.get("provenance", {}))

    def _of_this_pool(self, counts: Mapping[str, Any]) -> bool:
        """Whether it was drawn from as many sequences as the store has besides the candidates of the holdout."""
        made = counts.get("provenance", {})
        drawn_from = counts["n_sequences"] if counts["kind"] == "all" else made.get("n_available")
        return self._n_pool is None or drawn_from == self._n_pool

    def _as_defined(self, row: Subset, made: Mapping[str, Any]) -> bool:
        if row.kind == "cluster" and row.min_identity is not None:
            settings = MmseqsSettings(**self._config.clustering.model_dump(exclude={"scratch"}))
            return made.get("mmseqs_flags") == cluster_command(row.min_identity, settings=settings)
        if row.kind == "sample":
            asked = self._n_asked(row)
            return asked is not None and (made.get("n_requested"), made.get("seed")) == (asked, self._config.data_seed)
        return True

    def _n_asked(self, row: Subset) -> int | None:
        """Sequences that a sample is to have; None where the set whose size it takes is not there as defined."""
        if row.same_size_as is None:
            return row.n_sequences
        other = self._rows[row.same_size_as]
        return self.counts[other.name]["n_sequences"] if self.made_as(other) else None
