"""What the files in a folder of results tell of the study that they are of, where no record says it."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..files import read_object
from ..study.grid import grid
from ..study.study import Study

DATA = ("store", "subsets", "runs", "trunks")
"""Folders that make a folder of results a study's; all else is made again in minutes, or is of no study."""


def holds_a_study(results: Path) -> bool:
    """Whether a folder of results has any data or runs of a study; plans and calibrations alone do not count."""
    return any(path.is_file() for name in DATA for path in (results / name).rglob("*"))


def stats(results: Path) -> Mapping[str, Any]:
    """Counts and provenance of the store, see `plmscale.sequences.store.build_store`; empty without one."""
    path = results / "store/stats.json"
    return read_object(path) if path.is_file() else {}


def same_file(study: Study, source: Path, *, stats: Mapping[str, Any]) -> bool:
    """Whether the FASTA of a study, wherever it lies now, is the one that a store was made from.

    Parameters
    ----------
    study : Study
    source : Path
        Its FASTA; what is downloaded is known by its URL alone, since another URL may give it the same name.
    stats : mapping
        Of the store. The checksum of a file of another size is not computed: that of UniRef50 takes a minute.
    """
    if study.config.source_is_url or not source.is_file() or source.stat().st_size != stats.get("source_bytes"):
        return False
    with source.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == stats.get("source_sha256")


def finished(results: Path) -> list[str]:
    """Cells whose runs are finished, as model/subset/schedule/seedN."""
    runs = results / "runs"
    return sorted(path.parent.relative_to(runs).as_posix() for path in runs.glob("*/*/*/seed*/run.json"))


def differences(results: Path, *, study: Study, source: Path) -> Iterator[str]:
    """In what a study is not the one whose files lie in a folder of results, in words.

    Compared are the checksum of the proteins (their URL where they are downloaded, their name where the file is gone),
    length, seed and holdout of the sets, and the names of the cells: one of them has to be of the study.

    Parameters
    ----------
    results : Path
        What lies there has no record, since an older version made it.
    study : Study
    source : Path
        Its FASTA.
    """
    config = study.config
    there = stats(results)
    if "source" in there and not _same_source(study, source, there):
        yield f"source ({there['source']} there, {config.source} here)"
    expected = {
        "max_length": config.max_length,
        "data_seed": config.data_seed,
        "holdout.n_sequences": config.holdout.n_sequences,
        "holdout.max_identity": config.holdout.max_identity,
    }
    for key, value in _settings_of_sets(results, study).items():
        if value != expected[key]:
            yield f"{key} ({value} there, {expected[key]} here)"
    cells = {
        path.parent.relative_to(results / "runs").as_posix() for path in results.glob("runs/*/*/*/seed*/cell.json")
    }
    if cells and not cells & {cell.path for cell in grid(replace(study, left_out=()))}:
        yield f"models and subsets (no cell in common; {min(cells)} is there)"


def in_words(results: Path) -> str:
    """What lies in a folder of results without a record."""
    source = stats(results).get("source", "an unknown source")
    return f"a study that an older version of plmscale made ({source}, {len(finished(results))} runs done)"


def _same_source(study: Study, source: Path, there: Mapping[str, Any]) -> bool:
    if study.config.source_is_url:
        return (there.get("retrieval") or {}).get("url") == study.config.source
    if not source.is_file():
        return source.name == there["source"]
    return same_file(study, source, stats=there)


def _settings_of_sets(results: Path, study: Study) -> dict[str, Any]:
    """Settings that the holdout and the samples on disk were made with, as far as they say so."""
    found: dict[str, Any] = {}
    for name in ["holdout", *(row.name for row in study.subsets)]:
        path = results / f"subsets/{name}.json"
        if not path.is_file():
            continue
        counts = read_object(path)
        made = counts.get("provenance", {})
        if name == "holdout":
            said = {"holdout.n_sequences": made.get("n_candidates"), "holdout.max_identity": made.get("max_identity")}
        else:
            said = {"data_seed": made.get("seed")}
        said["max_length"] = counts.get("max_length")
        found = {key: value for key, value in said.items() if value is not None} | found
    return found
