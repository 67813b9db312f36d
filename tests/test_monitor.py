"""What a run shows while it trains: monitors that go on after a resume, and lines that stay few."""

import csv
import io
import json
import logging
import math
import sys
import time
from pathlib import Path

import pytest

from plmscale.cli.main import parser_of
from plmscale.errors import InputError
from plmscale.study.config import Execution, Training
from plmscale.study.flops import train_flops
from plmscale.study.grid import Cell
from plmscale.training import loggers as monitors
from plmscale.training.checkpoints import Progress
from plmscale.training.console import ProgressDisplay, ProgressPoint, TrainingTask, speed
from plmscale.training.loggers import METRICS_WRITERS, MetricsWriters, MonitoredRun, check_monitors
from plmscale.training.monitor import MonitorOptions, RunMonitor
from test_grid import size

STAND_IN = '''
"""Records what it is told, as a run of W&B would; WANDB_BREAKS makes it fail."""
import json, os
from pathlib import Path

class Run:
    def __init__(self, **settings):
        self.file = Path(settings["dir"]) / "told.jsonl"
        self.tell(init=settings)

    def tell(self, **what):
        with self.file.open("a") as file:
            file.write(json.dumps(what) + "\\n")

    def log(self, values, step):
        if os.environ.get("WANDB_BREAKS"):
            raise ConnectionError("no route to the server")
        self.tell(log=values, step=step)

    def finish(self):
        self.tell(finish=True)

def init(**settings):
    return Run(**settings)
'''


@pytest.fixture
def wandb(tmp_path, monkeypatch) -> Path:
    """A stand-in for the package wandb; what it was told is in told.jsonl of the run's folder."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules/wandb.py").write_text(STAND_IN)
    monkeypatch.syspath_prepend(tmp_path / "modules")
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    return tmp_path


def drawn(folder: Path, *, last_step: int = 0, continued: bool = False) -> MonitoredRun:
    return MonitoredRun(folder, "S/all/wsd/seed0", {"seed": 0}, "proteins", last_step, continued)


def values(step: int) -> dict[str, float]:
    return {"n_tokens": 1000 * step, "loss": 3.0 - step / 100, "perplexity": math.exp(3.0 - step / 100)}


def interrupted_and_taken_up(folder: Path, name: str) -> None:
    """Rows 1 to 4, of which a checkpoint knows two; killed; then 3 to 6."""
    killed = MetricsWriters([name], run=drawn(folder))
    for step in (1, 2, 3, 4):
        killed.write(step, values(step))
        if step == 2:
            killed.sync()
    killed.sync()  # the worst case: all of it had reached the disk
    resumed = MetricsWriters([name], run=drawn(folder, last_step=2, continued=True))
    for step in (3, 4, 5, 6):
        resumed.write(step, values(step))
    resumed.close()


def test_tensorboard_reads_every_point_once_after_a_resume(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    interrupted_and_taken_up(tmp_path, "tensorboard")
    read = EventAccumulator(str(tmp_path / "tensorboard"))
    read.Reload()
    found = [(event.step, event.value) for event in read.Scalars("loss")]
    assert [step for step, _ in found] == [1, 2, 3, 4, 5, 6]
    assert [value for _, value in found] == pytest.approx([values(s)["loss"] for s in range(1, 7)], rel=1e-6)


def test_a_run_that_is_trained_afresh_hides_the_points_of_the_one_before(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for steps in ((1, 2, 3, 4), (1, 2)):
        board = MetricsWriters(["tensorboard"], run=drawn(tmp_path))
        for step in steps:
            board.write(step, values(step))
        board.close()
    read = EventAccumulator(str(tmp_path / "tensorboard"))
    read.Reload()
    assert [event.step for event in read.Scalars("loss")] == [1, 2]


def test_csv_has_every_row_once_after_a_resume(tmp_path):
    (tmp_path / "metrics.csv").write_text("left by\n9,another run\n")
    interrupted_and_taken_up(tmp_path, "csv")
    with (tmp_path / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [1, 2, 3, 4, 5, 6]
    assert [float(row["perplexity"]) for row in rows] == [values(s)["perplexity"] for s in range(1, 7)]
    assert {row["utilisation"] for row in rows} == {""}


def test_a_line_of_csv_that_a_kill_cut_short_is_dropped(tmp_path):
    board = MetricsWriters(["csv"], run=drawn(tmp_path))
    board.write(1, values(1))
    board.close()
    with (tmp_path / "metrics.csv").open("a") as file:
        file.write("2,20")
    MetricsWriters(["csv"], run=drawn(tmp_path, last_step=2, continued=True)).close()
    assert [line.split(",")[0] for line in (tmp_path / "metrics.csv").read_text().splitlines()] == ["step", "1"]


def told(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "told.jsonl").read_text().splitlines()]


def test_wandb_goes_on_under_its_id_and_draws_every_point_once(wandb):
    interrupted_and_taken_up(wandb, "wandb")
    began = [what["init"] for what in told(wandb) if "init" in what]
    assert len(began) == 2
    assert began[0] == began[1]
    assert began[0]["resume"] == "allow"
    assert (began[0]["project"], began[0]["name"], began[0]["config"]) == ("proteins", "S/all/wsd/seed0", {"seed": 0})
    logged = [(what["step"], what["log"]) for what in told(wandb) if "log" in what]
    assert logged == [(step, values(step)) for step in range(1, 7)]
    MetricsWriters(["wandb"], run=drawn(wandb))
    afresh = [what["init"]["id"] for what in told(wandb) if "init" in what][-1]
    assert afresh != began[0]["id"], "a run that is trained afresh was drawn into the one before"


@pytest.mark.parametrize("moment", ["begins", "draws"])
def test_a_board_that_fails_is_dropped_with_one_warning(wandb, monkeypatch, caplog, moment):
    if moment == "draws":
        monkeypatch.setenv("WANDB_BREAKS", "1")
    else:
        (wandb / "told.jsonl").mkdir()
    both = MetricsWriters(["wandb", "csv"], run=drawn(wandb))
    for step in (1, 2, 3):
        both.write(step, values(step))
    both.sync()
    both.close()
    assert len((wandb / "metrics.csv").read_text().splitlines()) == 4
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "'wandb' failed and is dropped" in warnings[0]


def test_monitors_that_cannot_be_had_are_refused_before_training(monkeypatch):
    with pytest.raises(InputError, match=r"no monitor 'comet'.*tensorboard, csv, wandb"):
        check_monitors(["csv", "comet"])
    monkeypatch.setattr(monitors.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="'wandb', but the package wandb is not installed here.*leave it out"):
        check_monitors(["wandb"])
    check_monitors(["csv", "tensorboard"])


def test_the_monitors_of_the_configuration_are_all_there():
    assert Execution(monitors=list(METRICS_WRITERS)).monitors == list(METRICS_WRITERS)


# What is shown of a run of 100,000 tokens, from the clock's 50th second on, 1000 tokens a row and second.
TASK = TrainingTask("S/all/wsd/seed0", 100_000, lambda n_tokens, squares: 100.0 * n_tokens, 1e6, may_stop=False)


class Terminal(io.StringIO):
    gone = False

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if self.gone:
            raise BrokenPipeError(32, "Broken pipe")
        return super().write(text)


def shown(live: ProgressDisplay, *, start: int) -> None:
    for i in range(1, 61):
        n_tokens = start + 1000 * i
        live.show({"n_tokens": n_tokens, "loss": 2.5, "learning_rate": 1e-3}, now=ProgressPoint(50.0 + i, n_tokens, 0))
    live.close()


def test_lines_are_few_and_the_first_and_the_last_are_among_them(caplog):
    caplog.set_level(logging.INFO)
    shown(ProgressDisplay(TASK, start=ProgressPoint(50.0, 0, 0), every=25.0, stream=io.StringIO()), start=0)
    lines = [record.getMessage() for record in caplog.records]
    assert [line.split(" of ")[0] for line in lines] == ["1.00k", "26.0k", "51.0k", "60.0k"]
    assert lines[1].startswith("26.0k of 100k tokens (26 %), loss 2.5000, perplexity 12.18, lr 0.001, 1.00k tokens/s")
    assert "10 % of peak, 74 s left" in lines[1]


def test_after_a_resume_rates_and_time_left_exclude_the_time_before(caplog):
    caplog.set_level(logging.INFO)
    shown(ProgressDisplay(TASK, start=ProgressPoint(50.0, 30_000, 0), every=25.0, stream=io.StringIO()), start=30_000)
    line = caplog.records[1].getMessage()
    assert line.startswith("56.0k of 100k tokens")
    assert "1.00k tokens/s" in line
    assert "44 s left" in line


def test_a_run_that_may_stop_earlier_says_at_most(caplog):
    caplog.set_level(logging.INFO)
    task = TrainingTask(TASK.name, TASK.n_tokens, TASK.flops, None, may_stop=True)
    shown(ProgressDisplay(task, start=ProgressPoint(50.0, 0, 0), every=1e9, stream=io.StringIO()), start=0)
    assert ", at most 2 min left" in caplog.records[0].getMessage()
    assert "of peak" not in caplog.records[0].getMessage()


def test_a_terminal_has_a_bar_and_no_lines(caplog):
    caplog.set_level(logging.INFO)
    terminal = Terminal()
    shown(ProgressDisplay(TASK, start=ProgressPoint(50.0, 30_000, 0), every=1.0, stream=terminal), start=30_000)
    assert not caplog.records
    last = terminal.getvalue().split("\r")[-1]
    assert "90%" in last
    assert "90.0k/100k" in last
    assert "loss 2.5000, perplexity 12.18, lr 0.001, 10 % of peak" in last


def test_a_terminal_that_goes_away_does_not_stop_the_run(tmp_path, monkeypatch, caplog):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    options = MonitorOptions(("csv",), "proteins", 1.0, "6nd", None)
    cell = Cell(size(2, 40), "s", "constant", 0, Training(), 128)
    monitor = RunMonitor(cell, options=options, folder=tmp_path, progress=Progress(), n_tokens=10**6, continued=False)
    row = {"step": 1, "n_tokens": 1000, "squared_lengths": 9, "loss": 2.5, "learning_rate": 1e-3, "lr_fraction": 1.0}

    terminal.gone = True
    for step in (1, 2, 3):
        time.sleep(0.25)  # tqdm draws at most every 0.2 s
        monitor.show(row | {"step": step, "n_tokens": 1000 * step})
    monitor.close()
    terminal.gone = False  # tqdm writes once more when it is collected
    assert len((tmp_path / "metrics.csv").read_text().splitlines()) == 4
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "Broken pipe" in warnings[0]


@pytest.mark.parametrize("convention", ["appendix_e", "6nd", "measured_lengths"])
def test_utilisation_is_flops_by_the_studys_convention_per_second_and_peak(tmp_path, convention):
    """Of four devices: seven seconds for 40 sequences of 50 and 70 positions."""
    cell = Cell(size(2, 40), "s", "constant", 0, Training(), 128)
    n_tokens, squares = 40 * 120, 40 * (50**2 + 70**2)
    words = ["--monitors", "none", "--peak-flops", "1e9", "--flop-convention", convention]
    for name in ("cell", "store", "subset", "holdout", "metrics", "record", "checkpoints"):
        words += [f"--{name}", "x"]
    options = MonitorOptions.from_args(parser_of("train").parse_args(words), world=4)
    start = Progress(n_tokens=1000, squared_lengths=9000)
    monitor = RunMonitor(cell, options=options, folder=tmp_path, progress=start, n_tokens=10**6, continued=False)
    found = speed(
        monitor.task, since=ProgressPoint(0.0, 1000, 9000), now=ProgressPoint(7.0, 1000 + n_tokens, 9000 + squares)
    )
    flops = train_flops(cell.model, n_tokens, convention=convention, max_length=128, squared_lengths=squares)
    assert found.utilisation == pytest.approx(flops / 7.0 / 4e9, rel=1e-12)
    assert found.tokens_per_second == pytest.approx(n_tokens / 7.0)
    assert not list(tmp_path.iterdir())
