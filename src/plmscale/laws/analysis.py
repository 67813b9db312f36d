"""The analysis that the configuration asks for."""

from typing import TYPE_CHECKING

from .fit import FitSettings

if TYPE_CHECKING:
    from ..study.config import Analysis


def fit_settings(analysis: "Analysis") -> FitSettings:
    """The choices of every fit, from the configuration."""
    return FitSettings(
        n_bootstrap=analysis.n_bootstrap,
        n_envelope=analysis.n_envelope_points,
        levels=tuple(analysis.plateau_levels),
        level_definition=analysis.plateau_definition,
        budgets=tuple(analysis.budgets),
    )
