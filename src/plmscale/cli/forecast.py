"""`plmscale forecast --cells '*/d64/*'`: predict cells before they are trained; `--score`: compare."""

import argparse
from pathlib import Path

from ..errors import InputError

DESCRIPTION = """Freeze what the laws of a study's finished runs predict of cells that are not trained yet: losses with
the 95 % interval of a run, and the optimal size. The file is dated and checksummed, with hashes of data and code. After
training, --score compares it with the finished runs."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("results", nargs="?", type=Path, default=Path("results"), help="results folder of the study")
    parser.add_argument(
        "--cells", nargs="+", metavar="PATTERN", help="cells to predict, e.g. '*/d64/*' or '106K/*/wsd/*'"
    )
    parser.add_argument(
        "--score", action="store_true", help="compare a forecast with the runs that are finished by now"
    )
    parser.add_argument(
        "--file", type=Path, help="the forecast (default: forecast/forecast.json in the results folder)"
    )
    parser.add_argument(
        "--configfile", type=Path, help="configuration of the study; without it, the study that the folder belongs to"
    )


def run(args: argparse.Namespace) -> None:
    """Freeze or score, and print."""
    from ..forecast.frozen import read_forecast
    from ..forecast.study import freeze_study, matching, score_folder
    from ..forecast.words import forecast_text
    from ..status.status import study_there

    if bool(args.cells) == args.score:
        raise InputError(
            "forecast: give either --cells to predict cells, or --score to compare a forecast with finished runs."
        )
    study = study_there(args.results, configfile=args.configfile)
    path: Path = args.file or args.results / "forecast/forecast.json"
    if args.cells:
        freeze_study(study, matching(study, args.cells), results=args.results, path=path)
    forecast = read_forecast(path)
    print(forecast_text(forecast, *score_folder(forecast, study, results=args.results)), end="")
