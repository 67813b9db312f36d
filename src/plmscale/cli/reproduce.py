"""`plmscale reproduce`: published numbers beside ours, and the analysis of a published study once more."""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

DESCRIPTION = """Recompute published numbers for every data set found, and print both. With --study, repeat the analysis
of a study that `plmscale publish` wrote, from the records of its runs, and compare. The exit status is 1 if a number
differs."""

ANALYSIS = ("collect_runs", "curves", "fit", "findings", "tables", "summary", "figures", "report", "all")
"""No other rule may run: records are taken as they are, and nothing is trained."""

NUMBERS = ("tables", "summary")
"""Rules after which all is there that is compared."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options."""
    from ..published.targets import targets

    places = "\n".join(f"  {name:20}{target['data']}" for name, target in targets().items() if target["data"] != "none")
    parser.epilog = f"data sets:\n{places}"
    parser.add_argument("--data", nargs="+", default=[], metavar="PATH", help="tables, folders or http(s) URLs")
    parser.add_argument("--bootstrap", type=int, default=4000, help="resamples for standard errors (default: 4000)")
    parser.add_argument("--json", type=Path, help="also write the results of --data to this file")
    parser.add_argument("--study", type=Path, metavar="FOLDER", help="a published study, such as studies/swissprot")
    kept = "keep the analysis of --study here, with report and figures; a new folder"
    parser.add_argument("--out", type=Path, metavar="FOLDER", help=kept)
    parser.add_argument("--cores", help="cores of this machine to use for --study (default: all)")


def run(args: argparse.Namespace) -> int:
    """Print every number, or every file that differs."""
    if args.study is None:
        return _data_sets(args)
    if args.out is not None:
        return _study(args.study, args.out, ["--allowed-rules", *ANALYSIS], args.cores)
    with TemporaryDirectory(prefix="plmscale-") as folder:
        return _study(args.study, Path(folder), ["--allowed-rules", *ANALYSIS, "--until", *NUMBERS], args.cores)


def _data_sets(args: argparse.Namespace) -> int:
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


def _study(published: Path, out: Path, words: list[str], cores: str | None) -> int:
    from ..publish.again import compared, lay_out
    from .snakemake_process import run_workflow
    from .workflow_options import run_arguments

    configuration = lay_out(published, out)
    parser = argparse.ArgumentParser()
    run_arguments(parser)
    asked = ["--configfile", str(configuration), "--directory", str(out), *(["--cores", cores] if cores else [])]
    status, _ = run_workflow(argparse.Namespace(**vars(parser.parse_args(asked)), passed_on=words), [])
    if status:
        return status
    files = compared(published, out)
    same = sum(not (each.largest or each.otherwise) for each in files)
    print(f"{len(files)} files compared: {same} the same to the last digit.")
    for each in files:
        if each.otherwise:
            print(f"differs: {each.path}: {each.otherwise}")
        elif each.largest:
            print(f"{'agrees' if each.agrees else 'differs'}: {each.path}: numbers by {each.largest:.1g} at most")
    return 0 if all(each.agrees for each in files) else 1
