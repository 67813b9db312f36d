"""Parts of the report's page: tables, figures, choices and provenance as plain values for the template."""

import base64
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ...errors import InputError
from ...provenance import versions
from ...results.study_results import Results
from ...study.catalog import FIGURES, TABLES
from ...study.config import Config, Settings

_MARKUP = (
    (re.compile(r"``(.+?)``"), r"<code>\1</code>"),
    (re.compile(r"`([^`]+?) &lt;(https?://[^&\s]+)&gt;`_"), r'<a href="\2">\1</a>'),
    (re.compile(r"\*\*(.+?)\*\*"), r"<strong>\1</strong>"),
    (re.compile(r"\*(.+?)\*"), r"<em>\1</em>"),
)


def from_rst(text: str) -> Markup:
    """A caption in HTML: code, emphasis and links of reStructuredText, everything else escaped.

    Examples
    --------
    >>> str(from_rst("*Hollow* < 1, see ``runs``"))
    '<em>Hollow</em> &lt; 1, see <code>runs</code>'
    """
    found = escape(" ".join(text.split()), quote=False)
    for pattern, replacement in _MARKUP:
        found = pattern.sub(replacement, found)
    return Markup(found)  # escaped above


_SYMBOLS = (
    (re.compile(r"\b([NDC])_(opt|[cp])\b"), r"\1<sub>\2</sub>"),
    (re.compile(r"\b([NDC])\^([−-]?[0-9.]+(?:×10[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+)?)"), r"\1<sup>\2</sup>"),
)


def mathematics(text: str) -> Markup:
    """A sentence in HTML, its symbols with subscripts and exponents.

    Examples
    --------
    >>> str(mathematics("N_opt ∝ C^0.27 (0.2–0.3) & more"))
    'N<sub>opt</sub> ∝ C<sup>0.27</sup> (0.2–0.3) &amp; more'
    """
    found = escape(text, quote=False)
    for pattern, replacement in _SYMBOLS:
        found = pattern.sub(replacement, found)
    return Markup(found)  # escaped above


def captions(paths: Sequence[Path]) -> dict[tuple[str, str], Markup]:
    """Captions by folder and name: {("figures", "isoflop"): ...}."""
    return {(path.parent.name, path.stem): from_rst(path.read_text(encoding="utf-8")) for path in map(Path, paths)}


def data_uri(content: bytes, kind: str) -> str:
    """A file as a `data:` address."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def tables(folder: Path, words: Mapping[tuple[str, str], Markup], *, relative: str) -> dict[str, dict[str, Any]]:
    """Every table of the study by name: title, caption, its HTML, its tsv as an address, and links to its files."""
    found = {}
    for name, product in TABLES.items():
        html = (folder / f"{name}.html").read_text(encoding="utf-8")
        tsv = (folder / f"{name}.tsv").read_bytes()
        found[name] = {
            "name": name,
            "title": product.title,
            "caption": words.get(("tables", name), ""),
            "html": _fragment(html, folder / f"{name}.html"),
            "n_rows": max(tsv.count(b"\n") - 1, 0),
            "tsv": data_uri(tsv, "text/tab-separated-values"),
            "files": [(suffix, f"{relative}/{name}.{suffix}") for suffix in ("tsv", "md", "tex")],
        }
    return found


def _fragment(html: str, path: Path) -> Markup:
    """The table and its notes out of a page of `table_html`, whose cells are escaped; without its caption."""
    body = re.search(r"<body>\n(.*)\n</body>", html, re.DOTALL)
    if body is None:
        raise InputError(f"{path}: not a page of a table. Make it again: plmscale run tables -- --forcerun tables")
    table = re.sub(r"<caption>.*?</caption>\n", "", body[1])
    return Markup(table)  # written by plmscale.presentation.table_html, which escapes


def figures(
    folder: Path, names: Sequence[str], words: Mapping[tuple[str, str], Markup], *, relative: str
) -> dict[str, dict[str, Any]]:
    """Every static figure by name: title, caption, the svg as an address, and links to its files."""
    return {
        name: {
            "name": name,
            "title": FIGURES[name].title,
            "caption": words.get(("figures", name), ""),
            "svg": data_uri((folder / f"{name}.svg").read_bytes(), "image/svg+xml"),
            "files": [(suffix, f"{relative}/{name}.{suffix}") for suffix in ("pdf", "svg", "png")]
            + [("one column", f"{relative}/column/{name}.pdf")],
        }
        for name in names
    }


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
