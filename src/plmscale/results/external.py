"""Runs that came as a table, what was asked of them, and everything that was found."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..errors import InputError
from ..laws.cost_to_loss import PAPER_PLATEAU, Reached
from ..laws.fit import FitSettings
from ..runs.tidy import ImportedRuns
from ..study.catalog import FITS
from .analysed import Analysed


@dataclass(frozen=True)
class Request:
    """What is asked of the runs.

    Attributes
    ----------
    fits : tuple of str
        Keys of `plmscale.laws.methods.FITS`.
    seed : int
        Seed of the resamples.
    target_loss : float
        Loss (nats) for which the FLOPs to reach it are told, by size.
    settings : FitSettings
    """

    fits: tuple[str, ...] = FITS
    seed: int = 0
    target_loss: float = PAPER_PLATEAU
    settings: FitSettings = field(default_factory=FitSettings)

    def __post_init__(self) -> None:
        unknown = [name for name in self.fits if name not in FITS]
        if unknown or not self.fits:
            raise InputError(f"there are no fits {unknown}; choose among {', '.join(FITS)}.")
        if not self.target_loss > 0:
            raise InputError(f"the target loss is {self.target_loss}; it must be positive (nats).")


@dataclass(frozen=True)
class ExternalAnalysis:
    """Imported runs with what was found in them.

    Attributes
    ----------
    imported : ImportedRuns
    request : Request
    results : Analysed
        Curves and fits of all groups, learning rates and, once they have been varied, choices.
    reached : mapping of str to Reached
        By group.
    """

    imported: ImportedRuns
    request: Request
    results: Analysed
    reached: Mapping[str, Reached]
