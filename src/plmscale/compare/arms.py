"""What stands beside what: studies, schedules or sets as arms of a comparison, and what keeps two arms apart."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations, pairwise

import pandas as pd

from ..errors import InputError
from ..laws.fit import NO_FIT, Fit, FitSettings
from ..laws.methods import fit_curves
from ..runs.curves import Curve
from ..study.catalog import COMPARED_BY, ComparedBy
from .studies import TRUNK_KEYS, ComparedStudy, StudySetup

SET_FITS = ("envelope", "isoflop")
"""Laws that one training set can identify: the others need runs with other numbers of tokens."""

AT_MAX_LENGTH = "appendix_e"
"""The FLOP convention that counts every sequence as `max_length` long."""


@dataclass(frozen=True)
class Arm:
    """One line of the overlay: the runs of one study under one schedule, or those of one set of it.

    Attributes
    ----------
    label : str
        For a reader; differs between the arms of a comparison.
    study, schedule : str
    subset : str or None
        None where the arm has all sets.
    setup : StudySetup
        Those of the study.
    curves : sequence of Curve
    fits : dict of str to Fit
        By method.
    runs : DataFrame
        `plmscale.compare.studies.ComparedStudy.runs` of the arm.
    trunks : DataFrame
        `plmscale.compare.studies.ComparedStudy.trunks` that these runs branched off from.
    """

    label: str
    study: str
    schedule: str
    subset: str | None
    setup: StudySetup
    curves: Sequence[Curve]
    fits: dict[str, Fit]
    runs: pd.DataFrame
    trunks: pd.DataFrame = field(default_factory=pd.DataFrame)

    def key(self, by: ComparedBy) -> str:
        """What tells this arm from those it is compared with."""
        return {"study": self.study, "schedule": self.schedule, "set": self.subset or ""}[by]


@dataclass(frozen=True)
class Comparison:
    """Arms that differ by study, by schedule or by set, and the pairs of them that are compared.

    Attributes
    ----------
    by : {"study", "schedule", "set"}
    arms : sequence of Arm
    pairs : sequence of pairs of Arm
        Alike in everything but `by`.
    """

    by: ComparedBy
    arms: Sequence[Arm]
    pairs: Sequence[tuple[Arm, Arm]]


def comparisons(
    members: Sequence[ComparedStudy], *, by: Sequence[str] = (), settings: FitSettings | None = None, seed: int = 0
) -> list[Comparison]:
    """Comparisons of the folders of results.

    Parameters
    ----------
    members : sequence of ComparedStudy
    by : sequence of str
        Of `COMPARED_BY`. Empty: studies if there are several, else what the one study has several of.
    settings : FitSettings, optional
        How laws are fitted to single sets, which a study does not do.
    seed : int
        Seed of those fits.

    Raises
    ------
    InputError
        If there is nothing to compare, or `by` names something else.
    """
    if unknown := [name for name in by if name not in COMPARED_BY]:
        raise InputError(f"compare: cannot compare by {', '.join(unknown)}; choose among {', '.join(COMPARED_BY)}.")
    usual: tuple[ComparedBy, ...] = ("study",) if len(members) > 1 else ("schedule", "set")
    wanted: Sequence[ComparedBy] = [name for name in COMPARED_BY if name in by] or usual
    found: list[Comparison] = []
    for name in wanted:
        arms = _arms(members, by=name, settings=settings or FitSettings(), seed=seed)
        pairs = [pair for pair in combinations(arms, 2) if _comparable(*pair, by=name, members=members)]
        if not pairs and name in by:
            raise InputError(f"compare: {_nothing(members)}: there are no two to compare by {name}.")
        paired = {arm.label for pair in pairs for arm in pair}
        found += [Comparison(name, [arm for arm in arms if arm.label in paired], pairs)] if pairs else []
    if not found:
        raise InputError(f"compare: {_nothing(members)}: there is nothing to compare. Name a second folder.")
    return found


def _nothing(members: Sequence[ComparedStudy]) -> str:
    return "; ".join(f"{m.name} has the schedules {m.schedules} and the sets {m.sets}" for m in members)


def _arms(members: Sequence[ComparedStudy], *, by: ComparedBy, settings: FitSettings, seed: int) -> list[Arm]:
    several = len(members) > 1
    arms = []
    for member in members:
        for schedule in member.schedules:
            parts = [member.name] if several else []
            parts += [schedule] if by != "study" or len(member.schedules) > 1 else []
            runs = member.runs.loc[member.runs["schedule"] == schedule]
            curves = [curve for curve in member.curves if curve.schedule == schedule]
            fits = {name: fits.get(schedule, NO_FIT) for name, fits in member.fits.items()}
            trunks = _trunks_of(runs, member.trunks)
            whole = Arm(", ".join(parts), member.name, schedule, None, member.setup, curves, fits, runs, trunks)
            arms += [whole] if by != "set" else _of_sets(whole, member, settings=settings, seed=seed)
    return arms


def _of_sets(whole: Arm, member: ComparedStudy, *, settings: FitSettings, seed: int) -> list[Arm]:
    """One arm per set, with the laws that a set can identify fitted to its runs alone."""
    rows = [row for fit in whole.fits.values() for row in fit.details.get("optimal_sizes", ())]
    budgets = tuple(sorted({float(row["flops"]) for row in rows})) or settings.budgets
    settings = replace(settings, budgets=budgets)
    prefix = "" if len(member.schedules) == 1 else f", {whole.schedule}"
    study = whole.label.removesuffix(whole.schedule).rstrip(", ")
    arms = []
    for subset in dict.fromkeys(whole.runs["subset"]):
        curves = [curve for curve in whole.curves if curve.subset == subset]
        found = {name: fit_curves(curves, name=name, seed=seed, settings=settings) for name in SET_FITS}
        fits = {name: one.get(whole.schedule, NO_FIT) for name, one in found.items()}
        label = f"{study}, {subset}{prefix}" if study else f"{subset}{prefix}"
        runs = whole.runs.loc[whole.runs["subset"] == subset]
        trunks = _trunks_of(runs, whole.trunks)
        arms.append(replace(whole, label=label, subset=subset, curves=curves, fits=fits, runs=runs, trunks=trunks))
    return arms


def _trunks_of(runs: pd.DataFrame, trunks: pd.DataFrame) -> pd.DataFrame:
    """Those that some of the runs branched off from."""
    branches = runs.loc[runs["shared_tokens"] > 0]
    used = set(branches[[*TRUNK_KEYS]].itertuples(index=False, name=None))
    return trunks.loc[[key in used for key in trunks[[*TRUNK_KEYS]].itertuples(index=False, name=None)]]


def _comparable(first: Arm, second: Arm, *, by: ComparedBy, members: Sequence[ComparedStudy]) -> bool:
    """Whether two arms differ in what is compared, and in nothing else."""
    if by == "study":
        schedules = {m.name: m.schedules for m in members}
        only = len(schedules[first.study]) == len(schedules[second.study]) == 1
        return first.study != second.study and (only or first.schedule == second.schedule)
    if by == "schedule":
        return first.study == second.study and first.schedule != second.schedule
    return (first.study, first.schedule) == (second.study, second.schedule) and first.subset != second.subset


def apart(first: StudySetup, second: StudySetup, quantity: str) -> str:
    """Why a quantity of two studies is not on one scale; empty where it is, or where one of them does not say.

    Parameters
    ----------
    first, second : StudySetup
    quantity : {"compute", "loss", "holdout"}
        FLOPs; losses; losses on the holdout.

    Examples
    --------
    >>> apart(StudySetup(convention="6nd"), StudySetup(convention="appendix_e"), "compute")
    'FLOPs are counted by 6ND in the first and by appendix E in the second'
    """
    reasons = []
    lengths = _differ(first.max_length, second.max_length)
    if quantity == "compute":
        if _differ(first.convention, second.convention):
            counted = (convention_words(one.convention) for one in (first, second))
            reasons.append("FLOPs are counted by {} in the first and by {} in the second".format(*counted))
        elif lengths and first.convention == AT_MAX_LENGTH:
            reasons.append(f"FLOPs are counted at lengths of {first.max_length} and {second.max_length}")
        return "; ".join(reasons)
    if lengths:
        reasons.append(f"max_length is {first.max_length} and {second.max_length}")
    if _differ(first.masking, second.masking):
        reasons.append("the masking differs")
    if quantity == "loss" and _differ(first.final_loss, second.final_loss):
        reasons.append(
            f"final losses are of the {first.final_loss} in the first and of the {second.final_loss} in the second"
        )
    if quantity == "holdout" and _differ(first.holdout, second.holdout):
        reasons.append("the holdouts are other proteins")
    return "; ".join(reasons)


def convention_words(convention: object) -> str:
    """How FLOPs are counted, in words: the setting `analysis.flops`."""
    return {"appendix_e": "appendix E", "6nd": "6ND"}.get(str(convention), str(convention))


def caveats(members: Sequence[ComparedStudy]) -> list[str]:
    """Sentences on what differs between neighbouring studies, what cannot be compared for that, and what is unknown."""
    found = []
    for one, other in pairwise(members) if len(members) < 3 else combinations(members, 2):
        names = f"{one.name} and {other.name}"
        for quantity, lost in _LOST.items():
            if reason := apart(one.setup, other.setup, quantity):
                found.append(f"{names}: {_of(reason, one, other)}. {lost}")
        if _differ(one.setup.batch_tokens, other.setup.batch_tokens):
            batches = f"{one.setup.batch_tokens} and {other.setup.batch_tokens}"
            found.append(f"{names}: batches of {batches} tokens: part of any difference may be theirs.")
        if settings := _settings_that_differ(one.setup, other.setup):
            found.append(f"{names}: other {', '.join(settings)}: part of any difference may be theirs.")
    if len(members) > 1:
        found += [
            f"{m.name}: how its FLOPs are counted is not recorded; they are taken as they are."
            for m in members
            if m.setup.convention is None
        ]
        found += [
            f"{m.name}: imported runs; whether their loss is that of the others' is not recorded."
            for m in members
            if not m.records
        ]
    return found


def _of(reason: str, one: ComparedStudy, other: ComparedStudy) -> str:
    """A reason of `apart` with the names of the two studies."""
    return reason.replace("in the first", f"in {one.name}").replace("in the second", f"in {other.name}")


def _settings_that_differ(one: StudySetup, other: StudySetup) -> list[str]:
    """Names of the settings of training that both studies have, with other values."""
    first, second = (json.loads(setup.training or "{}") for setup in (one, other))
    return [key for key in first if key in second and first[key] != second[key]]


_LOST = {
    "compute": "Exponents in C, envelopes, optimal sizes and FLOPs are shown, not compared.",
    "loss": "Losses, and the constants of laws that are losses, are shown, not compared.",
    "holdout": "Holdout losses are shown, not compared.",
}


def _differ(one: str | None, other: str | None) -> bool:
    return one is not None and other is not None and one != other
