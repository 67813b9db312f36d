"""What several test modules share, and which worker runs what."""

from importlib import import_module
from pathlib import Path

import pytest

import_module("setuptools")  # torch's compiler needs it, and it refuses once anything has imported distutils

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"

FIRST = (
    *("slurm", "workflow", "trunk", "frozen", "earlier", "readme", "test_wheel", "test_faults", "test_kills"),
    *("test_figures", "chromium", "test_trunk_runs", "test_payloads", "test_forecast", "test_docs", "test_subsets"),
    *("test_law_cases", "test_compare", "test_bad_input", "test_engines", "test_export", "test_api", "test_report"),
)
"""Groups and modules that take most time, the longest first: begun last they would end long after all others."""

SPREAD = ("test_bad_input", "test_faults", "test_figures", "test_own_runs", "test_train")
"""Modules of long tests that share little: any worker takes any of them. A module else stays with its fixtures."""


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give every test its group, and begin with the longest."""
    for item in items:
        if not any(item.iter_markers("xdist_group")) and item.path.stem not in SPREAD:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    names = {item.path.stem} | {mark.args[0] for mark in item.iter_markers("xdist_group")}
    return min((FIRST.index(name) for name in names & set(FIRST)), default=len(FIRST))


@pytest.fixture
def as_svg(monkeypatch):
    """Figures in one format, for tests that are not about formats: the other two take most of the time."""
    from plmscale.presentation import figure_style

    monkeypatch.setattr(figure_style, "FORMATS", ("svg",))


@pytest.fixture(scope="session")
def training_data(tmp_path_factory) -> Path:
    """What tests train on (`test_train.make_data`), made once: nobody writes there."""
    from test_train import make_data

    return make_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def paper_study():
    """The study of config/config.yaml."""
    import yaml

    from plmscale.study.study import load_study

    return load_study(yaml.safe_load((ROOT / "config/config.yaml").read_text()), base=ROOT)
