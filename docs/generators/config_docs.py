"""Generate what describes the configuration: `python docs/generators/config_docs.py`.

Writes workflow/schemas/config.schema.yaml and config/README.md beside the Snakefile. A test fails when they drift.
"""

import json
from pathlib import Path
from types import UnionType
from typing import Any, TypeGuard, get_args, get_origin

import yaml

from plmscale.files import atomic
from plmscale.plan.hardware.communication import LINK_EFFICIENCY, NETWORK_EFFICIENCY
from plmscale.plan.hardware.device_types import DEVICE_TYPES
from plmscale.plan.hardware.utilisation import NEAR, PUBLISHED, UTILISATION
from plmscale.study.config import Config, Settings, Subset
from plmscale.study.published_settings import PublishedModel
from plmscale.study.recipes.model_row import ModelRow

INTRODUCTION = """# Configuration

`config.yaml` is the complete study of the paper. For a study of your own, write what differs into another file and run
`plmscale run --configfile my.yaml`. Set single values with `plmscale run --config source=proteins.fasta.gz`. Paths are
relative to the study's folder, else to the folder of the Snakefile. A misspelt key is an error.

Settings under `hardware`, `execution` and `analysis` never retrain a cell. Every other setting that a cell depends on
is in its `cell.json`, and a change of it retrains the cell.

This page is generated from `src/plmscale/study/config.py` by `python docs/generators/config_docs.py`.
"""

TABLES = """
## Tables

Columns are separated by tabs. An empty field is the default. Lines that begin with `#` are comments. A new row trains
only its own cells; removing a row trains nothing.
"""

TABLE_ROWS: dict[str, type[Settings]] = {
    "`models.tsv`": ModelRow,
    "`subsets.tsv`": Subset,
    "`published_plms.tsv`": PublishedModel,
}


DEVICES = f"""## Known devices

Values for the settings of `hardware` that are null, by `hardware.name`. Peaks (TFLOP/s, dense), memory and power are
those of the data sheets. Bandwidths (GB/s, one direction) are those to the other devices of a node and, for each
device, to other nodes in the vendor's own system; – where there is none, for which 12.5 GB/s a node are assumed. A sum
over devices is assumed to reach {LINK_EFFICIENCY} of the first and {NETWORK_EFFICIENCY} of the second. Devices of
GH200 and MI300X are joined one by one: fewer than all of a node have a part of the bandwidth.

| `hardware.name` | fp32 | TF32 | bf16 | GiB | W | node | network | source |
|---|---|---|---|---|---|---|---|---|"""

SHARES = f"""
## Assumed utilisation

The share of the peak is an assumption until `plmscale calibrate` has measured it: {UTILISATION["fp32"]} in fp32,
{UTILISATION["tf32"]} in TF32, {UTILISATION["bf16"]} in bf16. For sizes within a factor of {NEAR:g} of a published
record on the same chip, the record is taken. None was found for smaller sizes or other types.

| `hardware.name` | precision | parameters | share | source |
|---|---|---|---|---|"""


def schema() -> str:
    """The JSON schema of the configuration, as YAML."""
    text = yaml.safe_dump(Config.model_json_schema(), sort_keys=False, allow_unicode=True, width=120)
    return "# Generated from src/plmscale/study/config.py by `python docs/generators/config_docs.py`.\n" + text


def readme() -> str:
    """The reference of every setting, as Markdown."""
    parts = [INTRODUCTION, *_blocks(Config, ""), TABLES]
    for title, row in TABLE_ROWS.items():
        parts += [f"### {title}\n", _header("column"), *_rows(row, ""), ""]
    parts += [DEVICES, *_device_rows(), SHARES, *_share_rows()]
    return "\n".join(parts).rstrip() + "\n"


def _device_rows() -> list[str]:
    return [
        f"| `{name}` | {d.fp32:g} | {d.tf32:g} | {'–' if d.bf16 is None else f'{d.bf16:g}'} | {d.memory_gib:g} | "
        f"{d.watts:g} | {d.link:g} | {'–' if d.network is None else f'{d.network:g}'} | {d.source} |"
        for name, d in DEVICE_TYPES.items()
    ]


def _share_rows() -> list[str]:
    return [
        f"| {', '.join(f'`{name}`' for name in one.types)} | {one.precision} | {one.n_params / 1e6:.0f}M | "
        f"{one.share:.3g} | {one.source} |"
        for one in PUBLISHED
    ]


def _header(first: str = "key") -> str:
    return f"| {first} | type | default | meaning |\n|---|---|---|---|"


def _blocks(block: type[Settings], prefix: str, about: str = "") -> list[str]:
    """A section for a block, and one for each block in it: each has an anchor, such as #trainingstop."""
    own = _rows(block, prefix)
    title = f"### `{prefix.rstrip('.')}`\n" if prefix else "## Settings\n"
    parts = [title, *([f"{about}\n"] if about else []), *([_header(), *own, ""] if own else [])]
    for name, field in block.model_fields.items():
        if _is_block(field.annotation):
            parts += _blocks(field.annotation, f"{prefix}{name}.", field.description or "")
    return parts


def _is_block(annotation: Any) -> TypeGuard[type[Settings]]:
    return isinstance(annotation, type) and issubclass(annotation, Settings)


def _rows(block: type[Settings], prefix: str) -> list[str]:
    rows = []
    for name, field in block.model_fields.items():
        if _is_block(field.annotation):
            continue
        default = "required" if field.is_required() else f"`{json.dumps(_plain(field.default), ensure_ascii=False)}`"
        meaning = (field.description or "").replace("|", "\\|")
        kind = _type(field.annotation) + _range(block.model_json_schema()["properties"][name])
        rows.append(f"| `{prefix}{name}` | {kind} | {default} | {meaning} |")
    return rows


def _plain(value: Any) -> Any:
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value


def _type(annotation: Any) -> str:
    """A type in words."""
    arguments = get_args(annotation)
    if arguments and all(isinstance(a, str | int) for a in arguments):
        return ", ".join(f"`{a}`" for a in arguments)
    if get_origin(annotation) is list:
        return f"list of {_type(arguments[0])}"
    if type(None) in arguments:
        return f"{_type(next(a for a in arguments if a is not type(None)))} or null"
    if get_origin(annotation) is UnionType:
        return " or ".join(map(_type, arguments))
    if arguments:
        return _type(arguments[0])
    return {bool: "true or false", int: "integer", float: "number", str: "text"}[annotation]


def _range(schema: dict[str, Any]) -> str:
    """The range of a number in words; empty for anything else."""
    schema = schema.get("items", next((one for one in schema.get("anyOf", ()) if one.get("type") != "null"), schema))
    if not {"minimum", "exclusiveMinimum"} & schema.keys():
        return ""
    low = f"above {schema['exclusiveMinimum']:g}" if "exclusiveMinimum" in schema else f"{schema['minimum']:g}"
    below = "exclusiveMaximum" in schema
    return f", {low} to {'below ' if below else ''}{schema['exclusiveMaximum' if below else 'maximum']:g}"


def write(root: Path) -> None:
    """Write both files under `root`, the folder of the Snakefile."""
    for path, text in ((root / "workflow/schemas/config.schema.yaml", schema()), (root / "config/README.md", readme())):
        with atomic(path) as partial:
            partial.write_text(text)


if __name__ == "__main__":
    write(Path(__file__).parents[2])
