"""`plmscale publish --out FOLDER`: a finished study as a folder for an archive."""

import argparse
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import InputError

if TYPE_CHECKING:
    from ...publish.crate import Description

DESCRIPTION = """Write a finished study as a folder for an archive, such as Zenodo: tables, figures, report, runs with
model cards, configuration, lock, checksums, and RO-Crate metadata."""

SUMMARY = "A study of scaling laws of protein language models, made with plmscale."


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options."""
    from ...publish.contents import OPTIONAL

    parser.add_argument("--results", type=Path, default=Path("results"), help="results folder (default: results)")
    parser.add_argument("--out", type=Path, help="folder to write, new or empty")
    parser.add_argument("--title", help="title of the study")
    parser.add_argument("--summary", default=SUMMARY, help="what the study is about, in a sentence or two")
    author = "who made it, 'Name <ORCID>' or 'Name'; repeat it for several"
    parser.add_argument("--author", action="append", default=[], metavar="NAME", help=author)
    parser.add_argument("--licence", help="licence of the study: SPDX identifier, such as CC-BY-4.0, or URL")
    parser.add_argument("--date", help="date of publication, YYYY-MM-DD (default: today)")
    parser.add_argument("--weights", action="store_true", help="publish the weights of the models, too")
    left = f"leave a part out, to keep the folder small; repeat it for several: {', '.join(OPTIONAL)}"
    parser.add_argument("--without", action="append", default=[], choices=OPTIONAL, metavar="PART", help=left)
    parser.add_argument("-n", "--dry-run", action="store_true", help="print what goes in, and write nothing")


def run(args: argparse.Namespace) -> None:
    """Publish, or print what would be."""
    from ...publish.publish import planned, publish

    if args.dry_run:
        _print(planned(args.results, weights=args.weights, without=args.without))
        return
    missing = [f"--{name}" for name in ("out", "title", "licence") if getattr(args, name) is None]
    if missing:
        raise InputError(f"publish: {', '.join(missing)} not given. `--dry-run` needs none of them.")
    about = _description(args)
    publish(args.results, args.out, about=about, weights=args.weights, without=args.without)
    print(f"wrote {args.out}")


def _description(args: argparse.Namespace) -> "Description":
    from ...publish.crate import Description

    try:
        published = date.fromisoformat(args.date) if args.date else datetime.now(UTC).date()
    except ValueError:
        raise InputError(f"--date: {args.date!r} is no date such as 2026-11-30.") from None
    return Description(args.title, args.summary, args.licence, tuple(args.author), published)


def _print(rows: list[tuple[str, str, int | None]]) -> None:
    width = max(len(kind) for _, kind, _ in rows)
    for path, kind, size in rows:
        print(f"{'written then' if size is None else f'{size:,} B':>14}  {kind:{width}}  {path}")
    known = [size for *_, size in rows if size is not None]
    print(f"{len(rows)} files; {sum(known) / 1e6:,.1f} MB without those that are written then")
