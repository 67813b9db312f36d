"""Compute-optimal studies of protein language models.

From Python: `read_runs`, `fit` and `load_laws`; see docs/reference/api.md. Each name is imported when it is first used,
so that `import plmscale` costs next to nothing.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api.answers import OptimalSize, PredictedLoss
    from .api.fit import fit
    from .api.law import Law
    from .api.laws import Laws
    from .api.runs import Runs, read_runs
    from .api.saved import load_laws
    from .errors import InputError
    from .estimates import Estimate

__version__ = "0.2.0"

_PLACES = {
    "Estimate": "estimates",
    "InputError": "errors",
    "Law": "api.law",
    "Laws": "api.laws",
    "OptimalSize": "api.answers",
    "PredictedLoss": "api.answers",
    "Runs": "api.runs",
    "fit": "api.fit",
    "load_laws": "api.saved",
    "read_runs": "api.runs",
}
"""Module of every name."""

__all__ = [
    "__version__",
    "Estimate",
    "InputError",
    "Law",
    "Laws",
    "OptimalSize",
    "PredictedLoss",
    "Runs",
    "fit",
    "load_laws",
    "read_runs",
]


def __getattr__(name: str) -> Any:
    from difflib import get_close_matches
    from importlib import import_module

    if name not in _PLACES:
        like = [] if name.startswith("_") else get_close_matches(name, _PLACES, n=3)
        hint = f" Did you mean {' or '.join(like)}?" if like else ""
        raise AttributeError(f"plmscale has no {name!r}.{hint}", name=name)
    # By name: an import statement here would make every room that asks for the version import all others.
    return getattr(import_module(f".{_PLACES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
