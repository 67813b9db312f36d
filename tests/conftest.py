"""What several test modules share."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"


@pytest.fixture(scope="session")
def paper_study():
    """The study of config/config.yaml."""
    import yaml

    from plmscale.study import load_study

    return load_study(yaml.safe_load((ROOT / "config/config.yaml").read_text()), base=ROOT)
