"""Put the workflow into the wheel, under plmscale/_workflow/, as it stands in the repository.

An editable installation gets none: it runs the workflow of the checkout (plmscale.study.workflow_files).
"""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

CARRIED = ("Snakefile", "workflow", "config", "profiles", "envs", "resources/example")
"""What `snakemake` reads of the repository: rules, settings and their tables, environments, the example's proteins."""

LOCKS = tuple(f"locks/{name}.txt" for name in ("core", "train", "workflow", "publish", "all"))
"""What `plmscale bundle` downloads by, and `plmscale publish` writes into a study."""


class WorkflowFiles(BuildHookInterface):
    """The hook that `[tool.hatch.build.targets.wheel.hooks.custom]` of pyproject.toml names."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the files to a wheel before it is built; `version` is "editable" or "standard"."""
        if version != "editable":
            build_data["force_include"] |= {name: f"plmscale/_workflow/{name}" for name in CARRIED + LOCKS}
