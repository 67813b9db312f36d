"""The training of one cell by one rank.

A run is a function of the cell and its data alone. Interrupted at any instant it is taken up from the last complete
checkpoint and ends with the same metrics.
"""

import argparse
import logging
import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
import torch.distributed as dist
from safetensors.torch import save_file
from torch.utils.tensorboard import SummaryWriter

from .batches import Batches
from .checkpoints import Checkpoints, MetricsLog, Progress
from .clock import process_age
from .engine import ENGINES, Engine, EngineSettings, Ranks, make_optimizer, summed_loss
from .errors import InputError
from .esm2 import ESM2
from .files import atomic, read_json, write_json
from .grid import Cell, count_params
from .provenance import versions
from .schedules import lr_fraction
from .store import Store
from .subsets import read_subset

INTERRUPTED = 75
"""Exit status of a run that was asked to stop and wrote its checkpoint: EX_TEMPFAIL, to be run again."""

EVALUATION_SEED = 2**32 - 1
"""Seed of the holdout's masks: the same for every run, and no training seed."""

METRICS = pa.schema(
    [
        ("step", pa.int64()),
        ("n_tokens", pa.int64()),
        ("squared_lengths", pa.int64()),
        ("loss", pa.float64()),
        ("n_predicted", pa.int64()),
        ("learning_rate", pa.float64()),
        ("lr_fraction", pa.float64()),
    ]
)
"""Columns of metrics.parquet.

`n_tokens` and `squared_lengths` are sums since the start, so that FLOPs follow by any convention; `loss` is the mean
over the `n_predicted` positions since the row before; `learning_rate` is that of the next step.
"""

log = logging.getLogger(__name__)


class Run:
    """A cell being trained by this rank."""

    def __init__(self, args: argparse.Namespace, ranks: Ranks) -> None:
        self.args, self.ranks = args, ranks
        self.cell = Cell.from_json(read_json(args.cell))
        self.training = self.cell.training
        store = Store.open(args.store)
        self.batches = self._batches(store, read_subset(args.subset), self.cell.seed)
        self.holdout = self._batches(store, read_subset(args.holdout), EVALUATION_SEED)
        per_rank = ranks.world * args.micro_batch_tokens
        self.grad_accum = max(1, math.ceil(self.training.batch_tokens / per_rank))
        self.engine = self._engine()
        self.checkpoints = Checkpoints(args.checkpoints)
        self.progress = self._resume()
        self.stop_requested = False

    def _batches(self, store: Store, ids: np.ndarray, seed: int) -> Batches:
        return Batches(store, ids, training=self.training, max_length=self.cell.max_length, seed=seed)

    def _engine(self) -> Engine:
        if self.training.precision == "tf32":
            torch.set_float32_matmul_precision("high")
        model = ESM2(self.cell.model, seed=self.cell.seed).to(self.ranks.device)
        optimizer = make_optimizer(model, self.training.optimizer, self.cell.model.learning_rate)
        settings = EngineSettings(
            self.grad_accum, self.training.precision, self.training.optimizer.gradient_clipping, self.args.zero_stage
        )
        return ENGINES[self.args.engine](model, optimizer, ranks=self.ranks, settings=settings)

    def _resume(self) -> Progress:
        found = self.checkpoints.found()
        if not found:
            return Progress()
        folder, state = found[0]
        if state["world"] != self.ranks.world:
            raise InputError(
                f"{folder} was written by {state['world']} ranks, but this job has {self.ranks.world}. Run the cell on "
                f"{state['world']} devices again, or delete {self.checkpoints.folder} to start it afresh."
            )
        self.engine.load(folder)
        progress = Progress(**state["progress"])
        progress.resumed_at.append(progress.step)
        log.info("taken up from %s", folder)
        return progress

    @property
    def metrics_log(self) -> Path:
        """The growing file beside the metrics that are written at the end."""
        return self.args.metrics.with_name("metrics.jsonl")

    def train(self) -> tuple[str, str | None, list[dict[str, Any]]]:
        """Train to the end of the pass. Returns status, reason and the rows of metrics."""
        first = self.ranks.rank == 0
        rows = MetricsLog(self.metrics_log, last_step=self.progress.step) if first else None
        tensorboard = self.args.metrics.with_name("tensorboard")
        board = SummaryWriter(str(tensorboard), purge_step=self.progress.step) if first else None
        status, reason = "done", None
        since_checkpoint = 0
        while self.progress.step < len(self.batches):
            before = self.progress.n_tokens
            loss = self._step()
            since_checkpoint += self.progress.n_tokens - before
            if not math.isfinite(loss):
                status, reason = "diverged", f"the loss was {loss} at step {self.progress.step}"
                break
            if rows and board and (row := self._row()):
                rows.append(row)
                _to_board(board, row)
            stop = self._stop_agreed()
            if stop or since_checkpoint >= self.args.checkpoint_tokens:
                self._checkpoint(rows)
                since_checkpoint = 0
            if stop:
                log.info("stopped on request after step %d", self.progress.step)
                sys.exit(INTERRUPTED)
        if rows and board:
            rows.close()
            board.close()
        return status, reason, rows.rows if rows else []

    def _step(self) -> float:
        """One optimizer step; returns its loss in nats per masked token."""
        started = time.perf_counter()
        progress = self.progress
        batch = self.batches.batch(progress.step)
        fraction = lr_fraction(self.cell.schedule, progress.n_tokens, training=self.training)
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

    def _row(self) -> dict[str, Any] | None:
        """The row of metrics that is due at this step, if any."""
        progress = self.progress
        if progress.step % self.training.log_every_steps and progress.step < len(self.batches):
            return None
        fraction = lr_fraction(self.cell.schedule, progress.n_tokens, training=self.training)
        row = {
            "step": progress.step,
            "n_tokens": progress.n_tokens,
            "squared_lengths": progress.squared_lengths,
            "loss": progress.summed / max(1, progress.n_predicted),
            "n_predicted": progress.n_predicted,
            "learning_rate": fraction * self.cell.model.learning_rate,
            "lr_fraction": fraction,
        }
        progress.summed, progress.n_predicted = 0.0, 0
        log.info("step %(step)d  tokens %(n_tokens)d  loss %(loss).4f  lr %(learning_rate).3g", row)
        return row

    def _stop_agreed(self) -> bool:
        """Whether any rank was asked to stop: all must leave at the same step."""
        if self.ranks.world == 1:
            return self.stop_requested
        asked = torch.tensor(float(self.stop_requested), device=self.ranks.device)
        dist.all_reduce(asked)
        return bool(asked.item())

    def _checkpoint(self, rows: MetricsLog | None) -> None:
        partial = self.checkpoints.folder / f"partial-step{self.progress.step}"
        if self.ranks.rank == 0:
            partial = self.checkpoints.begin(self.progress.step)
        dist.barrier()
        self.engine.save(partial)
        dist.barrier()
        if rows:
            rows.sync()
            progress = vars(self.progress) | {"wall_seconds": self._wall_seconds()}
            state = {"step": self.progress.step, "world": self.ranks.world, "progress": progress}
            self.checkpoints.finish(partial, state)

    def _wall_seconds(self) -> float:
        return self.progress.wall_seconds + process_age()

    @torch.no_grad()
    def evaluate(self) -> dict[str, Any]:
        """Loss and perplexity on the holdout, masked the same way for every run; each rank does the whole."""
        model = self.engine.module.eval()
        summed, n_predicted = 0.0, 0
        for step in range(len(self.holdout)):
            batch = self.holdout.batch(step)
            chunks = math.ceil(self.training.batch_tokens / self.args.micro_batch_tokens)
            summed += sum(float(summed_loss(model, m, self.ranks.device)) for m in batch.micro_batches(chunks))
            n_predicted += batch.n_predicted
        loss = summed / n_predicted
        return {
            "loss": loss,
            "perplexity": math.exp(loss),
            "n_predicted": n_predicted,
            "n_tokens": self.holdout.n_tokens,
        }

    def finish(self, status: str, reason: str | None, rows: list[dict[str, Any]]) -> None:
        """Evaluate, and write the declared outputs, `run.json` last."""
        holdout = self.evaluate() if status == "done" else None
        if self.ranks.rank:
            return
        weights = {k: v.contiguous().cpu() for k, v in self.engine.module.state_dict().items() if k != "lm_head.weight"}
        with atomic(self.args.record.with_name("model.safetensors")) as partial:
            save_file(weights, partial)
        with atomic(self.args.metrics) as partial:
            pq.write_table(pa.Table.from_pylist(rows, METRICS), partial)
        write_json(self.args.record, self._record(status, reason, holdout))
        if status == "done" and not self.args.keep_checkpoints:
            self.checkpoints.remove()
        self.metrics_log.unlink()

    def _record(self, status: str, reason: str | None, holdout: dict[str, Any] | None) -> dict[str, Any]:
        progress = self.progress
        return {
            "cell": self.cell.frozen(),
            "status": status,
            "reason": reason,
            "n_params": count_params(self.cell.model),
            "n_steps": progress.step,
            "n_tokens": progress.n_tokens,
            "squared_lengths": progress.squared_lengths,
            "unique_tokens": self.batches.n_tokens,
            "holdout": holdout,
            "seconds": progress.seconds,
            "wall_seconds": self._wall_seconds(),
            "resumed_at_steps": progress.resumed_at,
            "allocation": {
                "world": self.ranks.world,
                "device": self.ranks.device.type,
                "threads": torch.get_num_threads(),
                "grad_accum": self.grad_accum,
                "engine": self.args.engine,
                "zero_stage": self.args.zero_stage,
            },
            "versions": versions(),
        }


def _to_board(board: SummaryWriter, row: dict[str, Any]) -> None:
    for name in ("loss", "learning_rate", "n_tokens"):
        board.add_scalar(name, row[name], row["step"])
    board.add_scalar("perplexity", math.exp(row["loss"]), row["step"])
