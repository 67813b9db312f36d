"""`plmscale published --fits results/fits --out folder`: published models on a fitted law."""

import argparse
from pathlib import Path

from ..files import check_writable
from ..study.catalog import PLMS_TSV, SIZE_LAWS

DESCRIPTION = "Place published models on a fitted law: a table (tsv, md, tex) and a figure (pdf, svg, png)."


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("--fits", type=Path, required=True, help="folder of fits, or one fit's .json")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    default = Path(PLMS_TSV)
    parser.add_argument("--models", type=Path, default=default, help=f"table of published models (default: {default})")
    parser.add_argument("--fit", choices=SIZE_LAWS, help="law to use (default: the one with the best verdict)")
    parser.add_argument("--schedule", help="schedule or group whose law to use")


def run(args: argparse.Namespace) -> None:
    """Read, judge, write table and figure, and print the verdicts."""
    from functools import partial

    from ..laws.size_law import best_law
    from ..presentation.figure_style import write_on_pages
    from ..presentation.tables import write_table
    from ..published.figure import published_figure
    from ..published.models import law_line, law_sentence, place, published_table, read_fits
    from ..results.findings import Published
    from ..study.study import read_published

    check_writable(args.out, option="--out")
    law = best_law(read_fits(args.fits), name=args.fit, schedule=args.schedule)
    models = read_published(args.models)
    published = Published(law, place(models, law), law_line(law))
    table = published_table(published.models, law)
    write_table(table, args.out, name="published_models", title="Published models under this law")
    write_on_pages(partial(published_figure, published), args.out, name="published_models")
    print(law_sentence(law))
    for verdict, n in table.data["verdict"].value_counts().items():
        print(f"{n:4}  {verdict}")
