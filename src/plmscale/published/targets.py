"""What was published: the numbers that `plmscale reproduce` computes again, with their sources and tolerances."""

import json
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def targets() -> dict[str, dict[str, Any]]:
    """By data set: `title`, `source`, `data`, and `numbers`, each with its value and tolerance."""
    return json.loads(files("plmscale.published").joinpath("published_targets.json").read_text(encoding="utf-8"))
