"""Laws to ask: published ones by name, and those of a study, of `plmscale fit` or of a saved file by path."""

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError
from ..laws.budgets import TokenCost
from ..laws.fit import Fit
from ..laws.loss_law import METHODS, LossLaw, has_loss
from ..laws.proteins.table import CONVENTION, DEFAULT, Estimator, ProteinLaw, is_published, names, protein_law
from ..laws.size_law import VERDICTS, best_law
from ..presentation.formats import FIT_TITLES, STATUS_WORDS, verdict
from ..results.analysed import Analysed
from ..results.saved import Saved, read_saved
from ..runs.curves import usable
from ..runs.extent import Extent
from ..study.catalog import SIZE_LAWS
from .asked_law import AskedLaw

Array = NDArray[np.float64]

ASKABLE = tuple(dict.fromkeys((*METHODS, *SIZE_LAWS)))
"""Fits that answer, those of a loss first."""


def read_law(name_or_path: str | Path | None = None, *, fit: str | None = None, group: str | None = None) -> AskedLaw:
    """The law of this name or at this path; by default the published one of masked models.

    Parameters
    ----------
    name_or_path : str or Path, optional
        A name of `plmscale.laws.proteins.table.names`; a study's results/, a folder that `plmscale fit` wrote, or a
        file of laws that was saved.
    fit : str, optional
        Which of the fits answers; if absent the law of a loss with the best verdict.
    group : str, optional
        Schedule or group of runs; needed where there are several.

    Raises
    ------
    InputError
        If there is no such law, or none that stands.
    """
    name = str(name_or_path or DEFAULT)
    if is_published(name):
        if name_or_path is not None and Path(name).exists():
            raise InputError(
                f"--law: {name} is a published law, and there is a file {name} here. For the file, give ./{name}."
            )
        if fit is not None or group is not None:
            raise InputError(f"--law: {name} is published, and has no fits and groups. Leave --fit and --group out.")
        return of_published(name)
    if not Path(name).exists():
        listed = ", ".join(names())
        raise InputError(
            f"--law: {name!r} is neither a published law ({listed}) nor a path. Give one of these, a study's results/, "
            "the folder that plmscale fit wrote, or a file of saved laws."
        )
    return of_saved(read_saved(Path(name)), fit=fit, group=group)


def of_published(name: str = DEFAULT) -> AskedLaw:
    """A published law of proteins."""
    law = protein_law(name)
    first = law.estimators[0]
    kind = {"masked": "masked (MLM)", "causal": "causal (CLM)"}[law.objective]
    return AskedLaw(
        name=name,
        title=f"{name}, {first.name} of {kind} models, {first.source}",
        status="published, not of your runs",
        reason=_spread(law),
        interval=(
            f"Intervals: 95 % of {len(law.resamples)} resamples of its runs by its own estimator, and the answers of "
            "the other estimators."
        ),
        convention=f"{CONVENTION}; nats per {'masked ' if law.objective == 'masked' else ''}token",
        seen=law.seen,
        cost=six_n,
        fit="chinchilla",
        constants=_logs(np.array([law.constants, *law.resamples.tolist()])),
        others={one.name: one.optimum for one in _spreading(law) if one.optimum is not None},
        notes=("Another data set, vocabulary or masking has another loss: compare sizes and tokens, not nats.",),
    )


def six_n(n_params: ArrayLike) -> Array:
    """Training FLOPs per token, 6N."""
    return 6.0 * np.asarray(n_params, dtype=float)


def _spreading(law: ProteinLaw) -> list[Estimator]:
    """Other estimators whose answers stand."""
    return [one for one in law.estimators[1:] if not one.note]


def _spread(law: ProteinLaw) -> str:
    """How far apart the estimators of one law are."""
    exponents = sorted(one.exponent for one in law.estimators if np.isfinite(one.exponent))
    first, note = law.estimators[0], law.estimators[0].note
    rest = f"; it is {note}" if note else ""
    return (
        f"Its exponent a is {first.exponent:.2f}, and {exponents[0]:.2f} to {exponents[-1]:.2f} by "
        f"{len(exponents)} estimators on the same runs{rest}."
    )


def _logs(constants: Array) -> Array:
    """log E, log A, log B, alpha, beta."""
    with np.errstate(divide="ignore"):
        return np.concatenate([np.log(constants[:, :3]), constants[:, 3:]], axis=1)


def of_saved(saved: Saved, *, fit: str | None = None, group: str | None = None) -> AskedLaw:
    """A law of somebody's runs; see `read_law`."""
    results = saved.results
    if fit is not None and fit not in ASKABLE:
        raise InputError(f"--fit: {fit!r} gives no answers; choose one of {', '.join(ASKABLE)}.")
    own = _group(results, group)
    found = {name: results.fits[name][own] for name in ASKABLE if own in results.fits.get(name, {})}
    asked = {name: one for name, one in found.items() if fit in (None, name) and one.status in VERDICTS}
    losses = [one for one in asked.values() if has_loss(one)]
    if losses:
        best = min(losses, key=lambda one: VERDICTS.index(one.status))
    elif asked:
        best = next(iter(asked.values()))
    else:
        said = " ".join(f"{FIT_TITLES[name]}, {verdict(one)}" for name, one in found.items() if fit in (None, name))
        none = f"no law of {own} stands in {saved.source}" if said else f"{fit or 'no law'} was not fitted to {own}"
        raise InputError(
            f"ask: {none}. {said} Ask a published law (--law {DEFAULT}), or see `plmscale advise` for runs that help."
        )
    return _own(best, saved, own, others=[one for one in found.values() if one is not best and one.name in SIZE_LAWS])


def _own(best: Fit, saved: Saved, group: str, *, others: list[Fit]) -> AskedLaw:
    results, settings = saved.results.only(group), saved.settings
    curves, _ = usable(results.curves)
    sizes = None if has_loss(best) else best_law(results.fits, name=best.name, schedule=group)
    losses = LossLaw(best, group, curves=curves, seed=saved.seed, settings=settings) if has_loss(best) else None
    seen = losses.seen if losses is not None else Extent.of(curves, whole=True)
    assert seen is not None
    rivals = [best_law(results.fits, name=one.name, schedule=group) for one in others]
    return AskedLaw(
        name=best.name,
        title=f"{FIT_TITLES[best.name]}, fitted to {saved.source or 'these runs'} ({group})",
        status=STATUS_WORDS[best.status],
        reason=best.reason[:1].upper() + best.reason[1:],
        interval=f"Intervals: 95 % over {settings.n_bootstrap} resamples of the runs.",
        convention="FLOPs and parameters as the runs count them; nats per token",
        seen=seen,
        cost=TokenCost(curves),
        fit=best.name,
        constants=None if losses is None else losses.constants,
        sizes=sizes,
        factor=settings.extrapolation_factor,
        rivals=tuple(one for one in rivals if one is not None),
    )


def _group(results: Analysed, group: str | None) -> str:
    groups = results.schedules
    if group is None:
        if len(groups) == 1:
            return groups[0]
        raise InputError(f"ask: the runs are of several groups: {', '.join(groups)}. Choose one: --group {groups[0]}.")
    if group not in groups:
        raise InputError(f"--group: there is no group {group!r}; choose one of {', '.join(groups)}.")
    return group
