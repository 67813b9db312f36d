"""The training of one cell by one rank.

A run is a function of the cell and its data alone. Interrupted at any instant it is taken up from the last complete
checkpoint and ends with the same metrics.
"""

import argparse
import logging
import math
import sys
import time
from typing import Any

import torch
from safetensors.torch import save_file

from ..clock import process_age
from ..errors import InputError
from ..files import atomic, why_no_room
from ..model.esm2 import ESM2
from ..model.evaluation import masked_scores
from ..model.evaluation_masks import EvaluationSettings
from ..model.width_scaling import WidthScaling, for_file
from ..sets.batches import Prefetcher
from ..study.flops import count_params
from ..study.grid import Cell, read_cell
from ..study.schedules import check_budget, lr_fraction, stable_until
from ..study.trunks import trunk_cell
from .attempts import Attempts
from .cell_data import CellData, WatchedBatches
from .checkpoints import METRICS_LOG, Checkpoints, MetricsLog, Progress
from .claim import CellClaim
from .engine import ENGINES, Engine, EngineSettings, Ranks
from .health import HealthCheck
from .interruption import INTERRUPTED, StopRequest
from .monitor import MonitorOptions, RunMonitor, metrics_row
from .optimizer import make_optimizer
from .resume import NotFinite, format_of, is_finite
from .run_record import WEIGHTS, keep_checkpoints, record_of, write_outputs
from .set_aside import remove_leftovers
from .stopping import PlateauStop
from .trunk_checkpoints import TrunkCheckpointManager

log = logging.getLogger(__name__)


class Run:
    """A cell being trained by this rank.

    Attributes
    ----------
    pins : frozenset of int
        Steps whose checkpoints are kept.
    """

    pins: frozenset[int] = frozenset()

    def __init__(
        self,
        args: argparse.Namespace,
        ranks: Ranks,
        *,
        asked: StopRequest,
        claim: CellClaim | None = None,
        data: CellData | None = None,
    ) -> None:
        self.args, self.ranks, self.asked, self.claim = args, ranks, asked, claim
        self.attempts = claim.attempts if claim else Attempts()
        self.options = MonitorOptions.from_args(args, world=ranks.world)
        self.cell = read_cell(args.cell)
        self.training = self.cell.training
        self.scaling = WidthScaling.of(self.cell.model, self.training)
        self.data = data or CellData.of(args)
        self.batches = WatchedBatches(
            self.data, training=self.training, max_length=self.cell.max_length, seed=self.cell.seed, epochs=self.epochs
        )
        check_budget(self.cell.schedule, training=self.training, budget=self.batches.n_tokens)
        self.prefetcher = Prefetcher(self.batches)
        self.holdout = [self.data.store.sequence(i) for i in self.data.holdout.tolist()]
        per_rank = ranks.world * args.micro_batch_tokens
        self.grad_accum = max(1, math.ceil(self.training.batch_tokens / per_rank))
        self.engine = self._engine()
        self.checkpoints = Checkpoints(args.checkpoints)
        self.manager = self.manager_of(self.cell, self.checkpoints)
        self.progress, self.rows = self.take_up()
        self.attempts.resumed(self.progress.step)
        self.health = HealthCheck(self.training.health, every=self.training.log_every_steps, state=self.progress.health)
        self.stopped: str | None = None

    @property
    def epochs(self) -> float:
        """Passes whose batches are planned."""
        return self.cell.epochs

    @property
    def n_steps(self) -> int:
        """Steps after which the run ends, unless it stops before."""
        return len(self.batches)

    @property
    def n_tokens(self) -> int:
        """Tokens of these steps."""
        return self.batches.n_tokens

    def manager_of(self, cell: Cell, checkpoints: Checkpoints) -> TrunkCheckpointManager:
        """Who keeps the checkpoints of a cell that is trained on this set, by this engine."""
        kind = format_of(self.args.engine, zero_stage=self.args.zero_stage)
        of = self.data.seal_of(cell)
        return TrunkCheckpointManager(checkpoints, self.engine, ranks=self.ranks, written_by=kind, of=of)

    def take_up(self) -> tuple[Progress, list[dict[str, Any]]]:
        """Where the run goes on from: its own newest checkpoint, its trunk's, or zero."""
        progress, rows = self.manager.take_up()
        if progress.step or not self.args.trunk:
            return progress, rows
        trunk = self.manager_of(trunk_cell(self.cell), Checkpoints(self.args.trunk))
        until = stable_until(self.training, budget=self.batches.n_tokens)
        return trunk.branch(most_tokens=until, scratch=self.args.checkpoints)

    def _engine(self) -> Engine:
        if self.training.precision == "tf32":
            torch.set_float32_matmul_precision("high")
        size, draws = self.cell.model, {"seed": self.cell.seed, "initial_weights": self.training.initial_weights}
        model = ESM2(size, **draws, scaling=self.scaling).to(self.ranks.device)
        if self.args.compile:
            model.compile_blocks()
        optimizer = make_optimizer(model, self.training.optimizer, size.learning_rate, scaling=self.scaling)
        precision, clipping = self.training.precision, self.training.optimizer.gradient_clipping
        settings = EngineSettings(self.grad_accum, precision, clipping, self.args.zero_stage)
        return ENGINES[self.args.engine](model, optimizer, ranks=self.ranks, settings=settings)

    def train(self) -> tuple[str, str | None, list[dict[str, Any]]]:
        """Train to the end of the pass or to the plateau. Returns status, reason and the rows of metrics."""
        first = self.ranks.rank == 0
        # Before the log of metrics is opened: that it exists says that there was an attempt before.
        monitor = self._monitor() if first else None
        rows = MetricsLog(self.args.metrics.with_name(METRICS_LOG), rows=self.rows) if first else None
        try:
            status, reason = self._steps(rows, monitor)
        except NotFinite as error:
            status, reason = "diverged", str(error)
        finally:
            if rows and monitor:
                rows.close()
                monitor.close()
        return status, reason, rows.rows if rows else []

    def _steps(self, rows: MetricsLog | None, monitor: RunMonitor | None) -> tuple[str, str | None]:
        """Take the steps that are left, and leave a checkpoint of the last. Returns status and reason."""
        plateau = PlateauStop(self.training.stop, rows=self.rows)
        since_checkpoint = 0
        self._leave_if_asked()
        while self.progress.step < self.n_steps and not plateau.reached:
            before = self.progress.n_tokens
            loss = self._step()
            since_checkpoint += self.progress.n_tokens - before
            reason = self.health.observe(step=self.progress.step, loss=loss)
            if math.isfinite(loss) and (row := self._row()):
                plateau.add(row)
                if rows and monitor:
                    rows.append(row)
                    monitor.show(row)
            if reason:
                return "diverged", reason
            due = since_checkpoint >= self.args.checkpoint_tokens or self.progress.step in self.pins
            if self._stop_agreed() or due:
                self._checkpoint(rows, monitor)
                since_checkpoint = 0
                self._leave_if_asked()
        if since_checkpoint:  # evaluation and outputs may be interrupted too
            self._checkpoint(rows, monitor)
        if self.progress.step == self.n_steps:
            return "done", None
        self.stopped = "plateau"
        log.info("stopped at the plateau after step %d: %s", self.progress.step, plateau.reason)
        return "done", plateau.reason

    def _monitor(self) -> RunMonitor:
        return RunMonitor(
            self.cell,
            options=self.options,
            folder=self.args.metrics.parent,
            progress=self.progress,
            n_tokens=self.n_tokens,
            continued=self.args.metrics.with_name(METRICS_LOG).exists(),
        )

    def _leave_if_asked(self) -> None:
        """End the process if any rank was asked to stop, or data changed. What the last checkpoint has is not lost."""
        self.data.check()
        if self._stop_agreed():
            here, kept = self.progress.step, self.manager.last_step
            log.info("stopped on request after step %d; the last checkpoint is of step %s", here, kept)
            sys.exit(INTERRUPTED)

    def _step(self) -> float:
        """One optimizer step; returns its loss in nats per masked token."""
        started = time.perf_counter()
        progress = self.progress
        batch = self.prefetcher.batch(progress.step)
        fraction = self._lr_fraction()
        micros = batch.micro_batches(self.ranks.world * self.grad_accum)[self.ranks.rank :: self.ranks.world]
        loss = self.engine.step(
            micros, n_predicted=max(1, batch.n_predicted), learning_rate=fraction * self.cell.model.learning_rate
        )
        progress.step += 1
        progress.n_tokens += int(batch.lengths.sum())
        progress.squared_lengths += int((batch.lengths**2).sum())
        progress.summed += loss * batch.n_predicted
        progress.n_predicted += batch.n_predicted
        progress.seconds += time.perf_counter() - started
        return loss

    def _lr_fraction(self) -> float:
        """Learning rate of the next step ÷ initial learning rate."""
        seen, budget = self.progress.n_tokens, self.batches.n_tokens
        return lr_fraction(self.cell.schedule, seen, training=self.training, budget=budget)

    def _row(self) -> dict[str, Any] | None:
        """The row of metrics that is due at this step, if any."""
        progress = self.progress
        if progress.step % self.training.log_every_steps and progress.step < len(self.batches):
            return None
        row = metrics_row(progress, fraction=self._lr_fraction(), learning_rate=self.cell.model.learning_rate)
        progress.summed, progress.n_predicted = 0.0, 0
        return row

    def _stop_agreed(self) -> bool:
        """Whether any rank was asked to stop: all must leave at the same step.

        A signal that comes while ranks are comparing is none of theirs yet: it stays, and is agreed upon the next time.
        """
        self.asked.agreed = int(self.ranks.largest(self.asked.agreed or self.asked.signal))
        return bool(self.asked.agreed)

    def _checkpoint(self, rows: MetricsLog | None, monitor: RunMonitor | None) -> None:
        self.data.check()
        if self.claim:
            self.claim.check()
        if monitor:
            monitor.sync()
        written = self.manager.write(
            self.progress,
            rows=rows.rows if rows else [],
            wall_seconds=self.wall_seconds(),
            pinned=self.progress.step in self.pins,
        )
        if written:
            self.attempts.saved(self.progress.step)
        else:
            self._leave_without_room()

    def _leave_without_room(self) -> None:
        """End the run where its outputs would find no room either: what comes would be trained in vain."""
        folder, weights = self.args.record.parent, 4 * count_params(self.cell.model) + (1 << 16)
        why = why_no_room(folder, weights) if self.ranks.rank == 0 else ""
        if self.ranks.largest(bool(why)):
            raise InputError(
                f"neither checkpoint nor outputs can be written to {folder}: {why or 'see the first rank'}. The last "
                f"checkpoint is of step {self.manager.last_step or 0}: make room, and run again."
            )

    def wall_seconds(self) -> float:
        """Time of all attempts, this one up to now."""
        return self.progress.wall_seconds + process_age()

    def evaluate(self) -> dict[str, Any]:
        """Loss and perplexity on the holdout, masked the same way for every run; each rank does its share."""
        settings = EvaluationSettings(
            max_length=self.cell.max_length,
            masking=self.training.masking,
            batch_tokens=min(self.args.micro_batch_tokens, self.training.batch_tokens),
        )
        share = (self.ranks.rank, self.ranks.world)
        scores = masked_scores(
            self.engine.module, self.holdout, settings=settings, share=share, each=self._leave_if_asked
        )
        return scores.summary()

    def finish(self, status: str, reason: str | None, rows: list[dict[str, Any]]) -> None:
        """Evaluate, and write the declared outputs, `run.json` last."""
        holdout = self.evaluate() if status == "done" else None
        if self.ranks.rank:
            return
        self.data.check()
        if self.claim:
            self.claim.check()
        if is_finite(self.engine.module):
            self._write_weights()
        self.attempts.end("finished" if status == "done" else f"finished: {status}", step=self.progress.step)
        record = record_of(self, status=status, reason=reason, holdout=holdout)
        if self.claim:
            self.claim.leave_result(record, rows, of=self.data.seal_of_result(self.cell))
        write_outputs(self.args, record, rows)
        keep_checkpoints(self.checkpoints, self.args, status=status)
        remove_leftovers(self.args.checkpoints.parent)

    def _write_weights(self) -> None:
        with atomic(self.args.record.with_name(WEIGHTS)) as partial:
            save_file(for_file(self.engine.module.state_dict(), self.scaling), partial)
