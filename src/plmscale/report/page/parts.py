"""Parts of the report's page: tables, figures, choices and provenance as plain values for the template."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ...presentation.page.contents import FigureBlock, TableBlock, table_block
from ...presentation.page.files import svg_uri
from ...presentation.page.text import from_rst
from ...provenance import versions
from ...results.study_results import Results
from ...study.catalog import FIGURES, TABLES, Product
from ...study.config import Config, Settings
from ..tables.study import BUILDERS


def captions(paths: Sequence[Path]) -> dict[tuple[str, str], Markup]:
    """Captions by folder and name: {("figures", "isoflop"): ...}."""
    return {(path.parent.name, path.stem): from_rst(path.read_text(encoding="utf-8")) for path in map(Path, paths)}


def tables(results: Results, words: Mapping[tuple[str, str], Markup], *, relative: str) -> dict[str, TableBlock]:
    """Every table of the study by name, its data in the page, with links to its files, which are in `relative`."""
    found = {}
    for name, product in TABLES.items():
        table = BUILDERS[name](results)
        block = table_block(
            table,
            name=name,
            title=page_title(product),
            caption=words.get(("tables", name), ""),
            files=[(suffix, f"{relative}/{name}.{suffix}") for suffix in ("tsv", "md", "tex")],
        )
        found[name] = replace(block, n_rows=len(table.data))
    return found


def page_title(product: Product) -> str:
    """The title of a table or figure of a page that numbers them itself.

    Examples
    --------
    >>> page_title(Product("Data sets: exact counts", "Table 3")), page_title(Product("Compute plan"))
    ("Data sets: exact counts (the paper's table 3)", 'Compute plan')
    """
    return f"{product.subject} (the paper's {product.paper.lower()})" if product.paper else product.subject


def figures(
    folder: Path, names: Sequence[str], words: Mapping[tuple[str, str], Markup], *, relative: str, narrow: Sequence[str]
) -> dict[str, FigureBlock]:
    """Every static figure by name, with links to its files; those in `narrow` in column width, too, for phones."""
    return {
        name: FigureBlock(
            name,
            page_title(FIGURES[name]),
            svg_uri(folder / f"{name}.svg"),
            caption=words.get(("figures", name), ""),
            narrow=svg_uri(folder / "column" / f"{name}.svg") if name in narrow else "",
            files=[(suffix, f"{relative}/{name}.{suffix}") for suffix in ("pdf", "svg", "png", "csv")]
            + [("one column", f"{relative}/column/{name}.pdf")],
        )
        for name in names
        if drawn(folder, name)
    }


def drawn(folder: Path, name: str) -> bool:
    """Whether a figure has content: a row in its csv."""
    return (folder / f"{name}.csv").read_text(encoding="utf-8").count("\n") > 1


def choices(config: Config) -> list[dict[str, Any]]:
    """Every setting with its value, its default and its meaning; `differs` where the study chose otherwise."""
    return _settings(config, Config(), prefix="")


def _settings(block: Settings, default: Settings, *, prefix: str) -> list[dict[str, Any]]:
    rows = []
    for name, field in type(block).model_fields.items():
        value, usual = getattr(block, name), getattr(default, name)
        if isinstance(value, Settings):
            rows += _settings(value, usual, prefix=f"{prefix}{name}.")
            continue
        row = {"key": f"{prefix}{name}", "value": _plain(value), "default": _plain(usual), "differs": value != usual}
        rows.append(row | {"meaning": from_rst((field.description or "").replace("`", "``"))})
    return rows


def _plain(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_plain, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def source(results: Results, retrieval: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the proteins were: file, release, checksums, counts, and the random seed of the sets."""
    stats, config = results.stats, results.study.config
    rows = [("source", config.source)]
    rows += [(key, str(value)) for key, value in retrieval.items() if value is not None and not isinstance(value, dict)]
    rows += [(words, _plain(stats[key])) for key, words in OF_THE_STORE.items() if key in stats]
    holdout = results.subsets["holdout"]
    rows += [("holdout, sequences", _plain(holdout["n_sequences"])), ("holdout, SHA-256 of its ids", holdout["sha256"])]
    return [*rows, ("seed of the sets (data_seed)", str(config.data_seed))]


OF_THE_STORE = {
    "source": "file",
    "source_bytes": "file, bytes",
    "source_sha256": "file, SHA-256",
    "n_sequences": "sequences",
    "n_residues": "residues",
    "unigram_entropy": "unigram entropy (nats)",
}
"""What is known of the proteins from the token store, in words."""


def software(results: Results) -> list[dict[str, Any]]:
    """Versions of what trained the runs, with the number of runs of each, and of what wrote this page."""
    trained: dict[str, list[tuple[str, int]]] = {}
    rows = results.findings.software.sort_values("runs", ascending=False, kind="stable")
    for name, version, n_runs in rows.itertuples(index=False):
        trained.setdefault(name, []).append((version or "unknown", n_runs))
    here = versions()
    return [
        {
            "name": name,
            "trained": ", ".join(
                f"{version} ({n} runs)" if len(trained[name]) > 1 else version for version, n in trained.get(name, ())
            ),
            "page": here.get(name) or "",
        }
        for name in dict.fromkeys([*results.findings.software["name"], *here])
    ]
