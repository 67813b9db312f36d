"""Parts of the report's page: tables, figures, choices and provenance as plain values for the template."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ...errors import InputError
from ...presentation.page.contents import FigureBlock, TableBlock
from ...presentation.page.files import data_uri, svg_uri
from ...presentation.page.text import from_rst
from ...provenance import versions
from ...results.study_results import Results
from ...study.catalog import FIGURES, TABLES
from ...study.config import Config, Settings


def captions(paths: Sequence[Path]) -> dict[tuple[str, str], Markup]:
    """Captions by folder and name: {("figures", "isoflop"): ...}."""
    return {(path.parent.name, path.stem): from_rst(path.read_text(encoding="utf-8")) for path in map(Path, paths)}


def tables(folder: Path, words: Mapping[tuple[str, str], Markup], *, relative: str) -> dict[str, TableBlock]:
    """Every table of the study by name, its data in the page, with links to its files."""
    found = {}
    for name, product in TABLES.items():
        html = (folder / f"{name}.html").read_text(encoding="utf-8")
        tsv = (folder / f"{name}.tsv").read_bytes()
        found[name] = TableBlock(
            name,
            untied(product.title, "table"),
            _fragment(html, folder / f"{name}.html"),
            max(tsv.count(b"\n") - 1, 0),
            caption=words.get(("tables", name), ""),
            tsv=data_uri(tsv, "text/tab-separated-values"),
            files=[(suffix, f"{relative}/{name}.{suffix}") for suffix in ("tsv", "md", "tex")],
        )
    return found


def untied(title: str, what: str) -> str:
    """A title whose number is the paper's, so that the page can give its own.

    Examples
    --------
    >>> untied("Table 3. Data sets: exact counts", "table"), untied("Compute plan", "table")
    ("Data sets: exact counts (the paper's table 3)", 'Compute plan')
    """
    found = re.fullmatch(r"(?:Table|Figure) (\d+)\. (.*)", title)
    return f"{found[2]} (the paper's {what} {found[1]})" if found else title


def _fragment(html: str, path: Path) -> Markup:
    """The table and its notes out of a page of `table_html`, whose cells are escaped; without its caption."""
    body = re.search(r"<body>\n(.*)\n</body>", html, re.DOTALL)
    if body is None:
        raise InputError(f"{path}: not a page of a table. Make it again: plmscale run tables -- --forcerun tables")
    table = re.sub(r"<caption>.*?</caption>\n", "", body[1])
    return Markup(table)  # written by plmscale.presentation.table_html, which escapes


def figures(
    folder: Path, names: Sequence[str], words: Mapping[tuple[str, str], Markup], *, relative: str, narrow: Sequence[str]
) -> dict[str, FigureBlock]:
    """Every static figure by name, with links to its files; those in `narrow` in column width, too, for phones."""
    return {
        name: FigureBlock(
            name,
            untied(FIGURES[name].title, "figure"),
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
    return f"{value:g}" if isinstance(value, float) else str(value)


def source(results: Results, retrieval: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the proteins were: file, release, checksums, counts, and the random seed of the sets."""
    stats, config = results.stats, results.study.config
    rows = [("source", config.source)]
    rows += [(key, str(value)) for key, value in retrieval.items() if value is not None and not isinstance(value, dict)]
    keys = ("source", "source_bytes", "source_sha256", "n_sequences", "n_residues", "unigram_entropy")
    rows += [(f"store: {key}", _plain(stats[key])) for key in keys if key in stats]
    holdout = results.subsets["holdout"]
    rows += [("holdout: sequences", str(holdout["n_sequences"])), ("holdout: sha256", holdout["sha256"])]
    return [*rows, ("data_seed", str(config.data_seed))]


def software(results: Results) -> list[dict[str, Any]]:
    """Versions of what trained the runs, with the number of runs of each, and of what wrote this page."""
    seen: dict[str, Counter[str]] = {}
    for record in results.records:
        for name, version in record.get("versions", {}).items():
            seen.setdefault(name, Counter())[str(version or "unknown")] += 1
    here = versions()
    return [
        {
            "name": name,
            "trained": ", ".join(
                f"{version} ({n} runs)" if len(seen.get(name, ())) > 1 else version
                for version, n in seen.get(name, Counter()).most_common()
            ),
            "page": here.get(name) or "",
        }
        for name in dict.fromkeys([*seen, *here])
    ]
