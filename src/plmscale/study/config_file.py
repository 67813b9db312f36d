"""Read a configuration without Snakemake."""

from pathlib import Path
from typing import Any

import yaml

from ..errors import InputError


def read_config(path: Path) -> dict[str, Any]:
    """The settings that a YAML file names, unchecked: what `plmscale.study.study.load_study` takes.

    Raises
    ------
    InputError
        If the file does not exist, cannot be read, is no YAML or no mapping; with file, and line where there is one.
    """
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"the configuration {str(path)!r} does not exist. Give the path of a YAML file.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the configuration {str(path)!r} cannot be read ({error}). Give a YAML file.") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        said = getattr(error, "problem", None) or str(error)
        raise InputError(f"{path}{where}: not valid YAML ({said}). Write `setting: value`, one a line.") from error
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise InputError(
            f"{path}: the configuration is {type(found).__name__} {str(found)[:40]!r}, not settings. "
            "Write `setting: value`, one a line."
        )
    return found
