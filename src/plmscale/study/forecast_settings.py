"""Settings of the forecast: which cells are predicted before they are trained."""

from pydantic import Field

from .settings import Settings


class ForecastSettings(Settings):
    """What is predicted before it is trained."""

    sets: list[str] = Field(
        default=[],
        description="Training sets whose cells are predicted by the laws of all others before they are trained; empty: none.",
    )
