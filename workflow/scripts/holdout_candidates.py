"""Draw the holdout candidates."""

from pathlib import Path

from _job import run

from plmscale.sequences.store import Store
from plmscale.sets.holdout import choose_holdout_candidates
from plmscale.sets.subsets import write_ids


def main(*, store: list[str], ids: str, n_sequences: int, seed: int) -> None:
    write_ids(ids, choose_holdout_candidates(Store.open(Path(store[0]).parent), n=n_sequences, seed=seed))


run(main, snakemake)
