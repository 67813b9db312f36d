"""Which law answers, the one that was asked for or the one with the best verdict; and the optimal size by it."""

from collections.abc import Iterable

from ..errors import InputError
from ..laws.fit import Fit, FitSettings
from ..laws.loss_law import METHODS as LOSS_METHODS
from ..laws.loss_law import has_loss
from ..laws.size_law import VERDICTS, SizeLaw, best_law
from ..presentation.formats import FIT_TITLES, number, verdict
from ..results.analysed import Analysed
from ..runs.curves import usable
from ..runs.extent import REACH, Extent
from ..study.catalog import SIZE_LAWS
from .answers import OptimalSize
from .names import known


def size_law(results: Analysed, law: str | None, group: str) -> SizeLaw:
    """The law of one group that gives an optimal size.

    Parameters
    ----------
    results : Analysed
    law : str, optional
        Its name; if absent the best verdict decides (`plmscale.laws.size_law.best_law`).
    group : str

    Raises
    ------
    InputError
        If there is none; the message has the verdicts.
    """
    asked = _asked(results, law, SIZE_LAWS, what="an optimal size")
    found = best_law(results.fits, name=law, schedule=group)
    if found is None:
        raise InputError(_none(results, asked, group, what="an optimal size"))
    return found


def optimal_size(results: Analysed, flops: float, *, law: str | None, group: str, settings: FitSettings) -> OptimalSize:
    """The optimal size at a compute, in FLOPs.

    Raises
    ------
    InputError
        If no law gives one, or outside the law's range; the message has the range.
    """
    sizes = size_law(results, law, group)
    found, ends = sizes.at(flops), sizes.range
    if found is None:
        known_from = "nowhere" if ends is None else f"from {number(ends[0])} to {number(ends[1])} FLOPs"
        raise InputError(
            f"n_opt: C = {number(flops)} FLOPs; {FIT_TITLES[sizes.fit]}'s law of {group} is known {known_from} "
            f"(tokens and FLOPs up to {REACH:g} times those of a run, sizes within "
            f"{settings.extrapolation_factor:g} times those trained)."
        )
    size = found.n_params
    beyond = max(flops / sizes.flops[1], sizes.flops[0] / flops, 1.0)
    seen = sizes.seen or Extent.of(usable(results.only(group).curves)[0], whole=True)
    if seen is not None and found.n_tokens is not None:
        beyond = max(beyond, 10 ** seen.decades(size, found.n_tokens, flops).furthest)
    return OptimalSize(
        value=size,
        low=found.low,
        high=found.high,
        law=sizes.fit,
        group=group,
        status=results.fits[sizes.fit][group].status,
        reason=sizes.reason,
        caveat=sizes.caveat,
        position=found.position,
        beyond=beyond,
        flops=flops,
        n_tokens=found.n_tokens,
        tokens_low=found.tokens_low,
        tokens_high=found.tokens_high,
    )


def loss_fit(results: Analysed, law: str | None, group: str) -> Fit:
    """The fit of one group that gives a loss; parameters and errors as of `size_law`."""
    asked = _asked(results, law, LOSS_METHODS, what="a loss")
    fits = [one for one in _fits(results, asked, group).values() if has_loss(one)]
    if not fits:
        raise InputError(_none(results, asked, group, what="a loss"))
    return min(fits, key=lambda one: VERDICTS.index(one.status))


def _asked(results: Analysed, law: str | None, methods: Iterable[str], *, what: str) -> list[str]:
    if law is None:
        return list(methods)
    known(law, results.fits, what="law")
    if law not in methods:
        raise InputError(f"{FIT_TITLES[law]} does not give {what}; these laws do: {', '.join(methods)}.")
    return [law]


def _fits(results: Analysed, names: Iterable[str], group: str) -> dict[str, Fit]:
    fits = {name: results.fits.get(name, {}).get(group) for name in names}
    return {name: one for name, one in fits.items() if one is not None}


def _none(results: Analysed, names: Iterable[str], group: str, *, what: str) -> str:
    said = [f"{FIT_TITLES[name]}, {verdict(one)}" for name, one in _fits(results, names, group).items()]
    if not said:
        return f"no law of {group} that gives {what} was fitted; fit one of {', '.join(names)}."
    return f"no law of {group} gives {what}. {' '.join(said)}"
