"""Settings of learning-rate schedules of the stop at the plateau and of health: blocks of `plmscale.study.config.Training`."""

from typing import Literal

from pydantic import Field

from .settings import Count, Fraction, Nats, Settings, Tokens, TokensOrNone

Schedule = Literal["token_decay", "constant", "cosine", "wsd"]


class Cosine(Settings):
    """The schedule `cosine`: half a wave from lr0 at the end of the warm-up to the end of the run's own pass."""

    floor: Fraction = Field(default=0.1, description="`cosine`: learning rate at the end ÷ lr0.")


class Wsd(Settings):
    """The schedule `wsd`: warm-up, stable, decay at the end of the run's own pass."""

    decay_share: float = Field(
        default=0.2, ge=1e-6, le=1, description="`wsd`: last share of the run's tokens, during which the rate decays."
    )
    shape: Literal["linear", "1-sqrt"] = Field(
        default="1-sqrt",
        description="`wsd`: shape of the decay; `1-sqrt` reached a lower loss than `linear` (Hägele et al. 2024).",
    )
    floor: Fraction = Field(default=0.0, description="`wsd`: learning rate at the end ÷ lr0.")


class Stop(Settings):
    """Stop a run at its plateau; one of `cosine` or `wsd` has not decayed to its end then."""

    patience_tokens: Tokens | None = Field(
        default=None,
        description="A run ends when its smoothed loss has not fallen by `tolerance` within this many tokens; null: never.",
    )
    tolerance: Nats = Field(
        default=0.005,
        description="Decrease of the smoothed loss that `patience_tokens` refers to, in nats per masked token.",
    )
    smoothing_tokens: Tokens | None = Field(
        default=None,
        description="Tokens over which a row's weight in the smoothed loss falls to 1/e; null: a quarter of the patience.",
    )
    min_tokens: TokensOrNone = Field(
        default=0,
        description="No stop before this many tokens: with a small rate, the loss stays at the unigram entropy for a while.",
    )


class Health(Settings):
    """When a run is in trouble: its loss, averaged over a row of metrics, against the smallest such average so far."""

    divergence_nats: Nats = Field(
        default=1.0, description="Loss above its minimum, in nats, at which the run counts as `diverged` …"
    )
    divergence_rows: Count = Field(default=10, description="… after this many consecutive rows of metrics.")
    spike_nats: Nats = Field(
        default=0.3, description="Loss above its minimum, in nats, that is recorded as a spike; the run continues."
    )
