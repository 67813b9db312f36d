"""`plmscale reproduce --data FOLDER_OR_URL`: published numbers beside ours."""

import argparse
from pathlib import Path

DESCRIPTION = "Recompute published numbers for every data set found, and print both; exit status 1 if one differs."


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options."""
    from ..published.targets import targets

    places = "\n".join(f"  {name:20}{target['data']}" for name, target in targets().items() if target["data"] != "none")
    parser.epilog = f"data sets:\n{places}"
    parser.add_argument("--data", nargs="+", default=[], metavar="PATH", help="tables, folders or http(s) URLs")
    parser.add_argument("--bootstrap", type=int, default=4000, help="resamples for standard errors (default: 4000)")
    parser.add_argument("--json", type=Path, help="also write the results to this file")


def run(args: argparse.Namespace) -> int:
    """Print every number."""
    from ..files import write_json
    from ..published.reproduce import ReproductionVerdict, report, reproduce

    verdicts: list[ReproductionVerdict] = []
    for name, path, own in reproduce(args.data, n_bootstrap=args.bootstrap):
        print(report(name, path, own), end="\n\n", flush=True)
        verdicts += own
    if args.json:
        write_json(args.json, [verdict._asdict() | {"agrees": verdict.agrees} for verdict in verdicts])
    failed = [verdict for verdict in verdicts if not verdict.agrees]
    print(f"{len(verdicts) - len(failed)} of {len(verdicts)} numbers agree.")
    for verdict in failed:
        print(f"differs: {verdict.dataset}, {verdict.title}: {verdict.row[1]} published, {verdict.row[2]} here")
    return 1 if failed else 0
