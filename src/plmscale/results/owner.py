"""The study that a folder of results belongs to: `results/study.json` records it, and other studies are refused.

A configuration is of the same study if it has the same proteins (`source`: the same text, or a file of the same
checksum), the same `max_length`, `data_seed` and `holdout`, and the same tables of sizes and sets. A table is the same
if it has the same path, whatever its rows are now, or if one of the two has all names of the other: it was moved.
Everything else (training, clusters, hardware, ...) may change within a study: rules make again what depends on it.
Where the configuration file lies does not matter.
"""

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..errors import InputError
from ..files import read_object, write_json
from ..study.grid import grid
from ..study.study import Study
from . import unrecorded

RECORD = "study.json"
"""File of a folder of results that says whose it is."""

FORMAT = 1
"""Of that file."""

QUESTIONS = frozenset({"cell", "runs", "own_runs", "compare", "comparison", "advice"})
"""Settings that ask something of a study and are no part of it."""


OF_NO_STUDY = frozenset({"fits", "compare", "retrieve"})
"""Rules that write nothing of the study of the configuration, and so may run beside any."""

ASKING = frozenset({"plan", "status", "advise", "calibrate_size", "calibrate", "remove"})
"""Rules after which the study is what it was."""


@dataclass(frozen=True)
class Owner:
    """What `study.json` says.

    Attributes
    ----------
    recorded : mapping
        `Study.to_json()` of the configuration that last wrote results here.
    configfiles : tuple of str
        The files of that configuration, as they were named.
    settings : mapping
        Settings that were given on the command line besides (`--config`).
    """

    recorded: Mapping[str, Any]
    configfiles: tuple[str, ...]
    settings: Mapping[str, Any]

    def study(self) -> Study:
        """The study.

        Raises
        ------
        InputError
            If another version of plmscale wrote it, with settings that this one does not know.
        """
        try:
            return Study.from_json(dict(self.recorded))
        except (ValidationError, KeyError, TypeError) as error:
            raise InputError(
                f"{RECORD} was written by another version of plmscale, and this one cannot read its study "
                f"({str(error).splitlines()[0]}). Name the configuration: --configfile {self.options()}."
            ) from error

    def options(self) -> str:
        """What names the configuration on a command line, without the first `--configfile`."""
        given = [
            shlex.quote(f"{key}={value if isinstance(value, str) else json.dumps(value)}")
            for key, value in self.settings.items()
        ]
        return shlex.join(self.configfiles) + (f" --config {' '.join(given)}" if given else "")


def read(results: Path) -> Owner | None:
    """The study that a folder of results says to belong to; None if it does not say.

    Raises
    ------
    InputError
        If its record is damaged; the message names the file and what to do.
    """
    path = results / RECORD
    if not path.is_file():
        return None
    try:
        found = read_object(path)
        config, tables = found["study"]["config"], (found["study"]["models"], found["study"]["subsets"])
        if not (isinstance(config["source"], str) and all(row["name"] for table in tables for row in table)):
            raise ValueError
        return Owner(found["study"], tuple(found["configfiles"]), dict(found["settings"]))
    except (KeyError, TypeError, ValueError):
        raise InputError(
            f"{path} is damaged: it does not say which study lies there. Delete it, and the study is known by its sets "
            "and runs."
        ) from None


def claim(
    results: Path,
    *,
    study: Study,
    configfiles: Sequence[str],
    source: Path | None = None,
    settings: Mapping[str, Any] | None = None,
) -> None:
    """Record that a folder of results belongs to a study, before results of it are written there.

    Parameters
    ----------
    results : Path
        Made if absent.
    study : Study
    configfiles : sequence of str
        The files of its configuration, as a user names them.
    source : Path, optional
        Its FASTA as `study.source_file` finds it; None: `source` of the configuration.
    settings : mapping, optional
        Settings that were given on the command line besides.

    Raises
    ------
    InputError
        If it belongs to another study, see `another`.
    """
    refuse_another(results, study=study, source=source)
    value = {
        "format_version": FORMAT,
        "configfiles": list(configfiles),
        "settings": {key: value for key, value in (settings or {}).items() if key not in QUESTIONS},
        "study": study.to_json(),
    }
    text = json.dumps(value, indent=2)
    path = results / RECORD
    if not path.is_file() or path.read_bytes().strip() != text.encode():  # a second run changes nothing
        write_json(path, value)


def begin(results: Path, *, rules: Iterable[str], **claimed: Any) -> None:
    """Claim a folder of results where a run of the workflow begins, if it writes what is of a study.

    Who only asks leaves the record as it is, so that a plan of fewer cells does not become the study; but a folder that
    an older version made gets its record from it, too.

    Parameters
    ----------
    results : Path
    rules : iterable of str
        Rules of the jobs that will run.
    **claimed
        The other arguments of `claim`.
    """
    begun = set(rules) - OF_NO_STUDY
    old = unrecorded.holds_a_study(results) and not (results / RECORD).is_file()
    if begun - ASKING or (begun and old):
        claim(results, **claimed)


def named(configfiles: Iterable[Path], *, base: Path) -> list[str]:
    """Configuration files as a user names them: those of the workflow from its folder, others by their whole path."""
    found = (path.absolute() for path in configfiles)
    return [str(path.relative_to(base) if path.is_relative_to(base) else path) for path in found]


def refuse_another(results: Path, *, study: Study, source: Path | None = None) -> None:
    """Raise the sentence of `another` as an InputError, if there is one."""
    if reason := another(results, study=study, source=source):
        raise InputError(reason)


def another(results: Path, *, study: Study, source: Path | None = None) -> str | None:
    """Why a study must not use a folder of results: what of another one lies there, and what to type.

    None if the folder has nothing of a study, or this one. Without a record, as of older versions, it is judged by its
    store, sets and runs.

    Parameters
    ----------
    results : Path
    study : Study
    source : Path, optional
        As for `claim`.
    """
    if not unrecorded.holds_a_study(results):
        return None
    source = source or Path(study.config.source)
    try:
        owner = read(results)
        if owner is None:
            differ = list(unrecorded.differences(results, study=study, source=source))
            there, its = unrecorded.in_words(results), "the --configfile that made that one"
        else:
            differ = list(_differences(owner, study, source, unrecorded.stats(results)))
            there, its = _in_words(results, owner), f"--configfile {owner.options()}"
    except InputError as error:
        return str(error)
    if not differ:
        return None
    differences = " and ".join([*differ[:2], *(["more"] if differ[2:] else [])])
    return (
        f"{results}/ holds {there}, and yours differs in {differences}: type --directory FOLDER to give yours a "
        f"folder of its own, or {its} to go on with it."
    )


def heading(results: Path, owner: Owner) -> str:
    """Which study lies in a folder of results, as a line."""
    return f"{results}/: {_in_words(results, owner)}"


def _in_words(results: Path, owner: Owner) -> str:
    """What lies in a folder of results by its record."""
    recorded = owner.recorded
    n_sets = sum(bool(row.get("train")) for row in recorded["subsets"])
    try:
        of = f" of {len(grid(owner.study()))}"
    except InputError:  # a version that counts cells in another way
        of = ""
    return (
        f"the study of {owner.options()} ({recorded['config']['source']}, {len(recorded['models'])} sizes, "
        f"{n_sets} training sets, {len(unrecorded.finished(results))}{of} runs done)"
    )


def _differences(owner: Owner, study: Study, source: Path, stats: Mapping[str, Any]) -> Iterator[str]:
    """In what a study is not that of a record, in words."""
    was, now = owner.recorded["config"], study.config.model_dump(mode="json")
    if was["source"] != now["source"] and not unrecorded.same_file(study, source, stats=stats):
        yield f"source ({was['source']} there, {now['source']} here)"
    for key in ("max_length", "data_seed"):
        if (before := was.get(key, now[key])) != now[key]:
            yield f"{key} ({before} there, {now[key]} here)"
    for key, value in now["holdout"].items():
        if (before := was.get("holdout", {}).get(key, value)) != value:
            yield f"holdout.{key} ({before} there, {value} here)"
    for key, rows in (("models", study.models), ("subsets", study.subsets)):
        there, here = {row["name"] for row in owner.recorded[key]}, {row.name for row in rows}
        if was.get(key) != now[key] and not (there <= here or here <= there):
            yield f"{key} ({was.get(key)} there, {now[key]} here)"
