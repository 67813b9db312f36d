"""The training-engine seam: `deepspeed`, and the plain `torch` reference with the same methods.

Both train the same function: the loss is the sum over the masked positions of the *global* batch divided by their
number, whatever the ranks and the accumulation.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from unittest.mock import patch

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed import HashStore  # pyright: ignore[reportPrivateImportUsage]
from torch.nn import functional

from ..extras import needed_by
from ..model.pickles import DAMAGE, first_line, read_pickled
from ..sets.batches import MicroBatch
from .deepspeed.checkpoints import HalfLoaded, failures_at_the_end, load, load_from_another_world
from .optimizer import OPTIMIZERS, flattened, lr_scales, set_rate

FIRST_PORT, PORTS = 15_000, 15_000
"""Ports at which the ranks of several nodes meet, one a SLURM job: below the ephemeral range of Linux, 32768 to 60999
(ip(7), ip_local_port_range), from which any other connection of the node may have taken one."""


@dataclass(frozen=True)
class Ranks:
    """This process among all of the run.

    Attributes
    ----------
    rank, world : int
    device : torch.device
    """

    rank: int
    world: int
    device: torch.device

    def largest(self, value: float) -> float:
        """The largest value of any rank; every rank calls this at the same place."""
        if self.world == 1:
            return value
        found = torch.tensor(float(value), device=self.device)
        dist.all_reduce(found, dist.ReduceOp.MAX)
        return found.item()


@contextmanager
def joined_ranks() -> Iterator[Ranks]:
    """Join the processes of the run: started by python alone, torchrun, or one srun task per rank."""
    env = os.environ
    if "RANK" not in env and int(env.get("SLURM_NTASKS", "1")) > 1 and "SLURM_PROCID" in env:
        env |= {"RANK": env["SLURM_PROCID"], "LOCAL_RANK": env["SLURM_LOCALID"], "WORLD_SIZE": env["SLURM_NTASKS"]}
        env.setdefault("MASTER_ADDR", env.get("SLURM_LAUNCH_NODE_IPADDR", "127.0.0.1"))
        env.setdefault("MASTER_PORT", str(FIRST_PORT + int(env["SLURM_JOB_ID"]) % PORTS))
    env.setdefault("LOCAL_RANK", "0")  # DeepSpeed asks for it even of a single process
    rank, world, local = (int(env.get(k, d)) for k, d in (("RANK", "0"), ("WORLD_SIZE", "1"), ("LOCAL_RANK", "0")))
    gpu = torch.cuda.is_available()
    device = torch.device("cuda", local) if gpu else torch.device("cpu")
    if gpu:
        torch.cuda.set_device(device)
    if world > 1:
        dist.init_process_group("nccl" if gpu else "gloo", rank=rank, world_size=world)
    else:  # DeepSpeed wants a group even for one process; an in-memory store needs no port.
        dist.init_process_group("nccl" if gpu else "gloo", store=HashStore(), rank=0, world_size=1)
    try:
        yield Ranks(rank, world, device)
    finally:
        dist.destroy_process_group()


def summed_loss(model: nn.Module, micro: MicroBatch, device: torch.device) -> Tensor:
    """Sum of the cross-entropy in nats over the positions to be predicted."""
    tokens = torch.from_numpy(micro.tokens).to(device, non_blocking=True).long()
    targets = torch.from_numpy(micro.targets).to(device, non_blocking=True).long()
    logits = model(tokens, torch.from_numpy(micro.select), lengths=torch.from_numpy(micro.lengths))
    return functional.cross_entropy(logits.float(), targets, reduction="sum")


class Engine(Protocol):
    """What the training loop asks of an engine."""

    module: nn.Module

    def step(self, micros: list[MicroBatch], *, n_predicted: int, learning_rate: float) -> float:
        """One optimizer step on this rank's micro-batches. Returns the global mean loss before the step, in nats."""
        ...

    def save(self, folder: Path) -> None:
        """Write the state of model and optimizer into an empty folder."""
        ...

    def load(self, folder: Path, *, world: int) -> None:
        """Take up the state that `save` wrote in a run of `world` ranks."""
        ...


def _global_mean(summed: Tensor, n_predicted: int, world: int) -> float:
    if world > 1:
        dist.all_reduce(summed)
    return float(summed) / n_predicted


class TorchEngine:
    """Plain torch: gradients are summed over micro-batches and ranks."""

    def __init__(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, *, ranks: Ranks, settings: "EngineSettings"
    ) -> None:
        self.module, self._optimizer, self._ranks, self._settings = model.to(ranks.device), optimizer, ranks, settings
        self._scales = lr_scales(optimizer)
        self._stateful = flattened(optimizer)

    def step(self, micros: list[MicroBatch], *, n_predicted: int, learning_rate: float) -> float:
        """See `Engine.step`."""
        total = torch.zeros((), device=self._ranks.device)
        self._stateful.zero_grad()
        for micro in micros:
            with self._settings.autocast(self._ranks.device):
                summed = summed_loss(self.module, micro, self._ranks.device)
            (summed / n_predicted).backward()
            total += summed.detach()
        if self._ranks.world > 1:
            for parameter in self.module.parameters():
                dist.all_reduce(parameter.grad)
        if self._settings.gradient_clipping:
            nn.utils.clip_grad_norm_(self.module.parameters(), self._settings.gradient_clipping)
        set_rate(self._optimizer, learning_rate, self._scales)
        self._optimizer.step()
        return _global_mean(total, n_predicted, self._ranks.world)

    def save(self, folder: Path) -> None:
        """See `Engine.save`."""
        if self._ranks.rank == 0:
            folder.mkdir(parents=True, exist_ok=True)
            state = {"model": self.module.state_dict(), "optimizer": self._stateful.state_dict()}
            torch.save(state, folder / "state.pt")

    def load(self, folder: Path, *, world: int) -> None:
        """See `Engine.load`."""
        state = read_pickled(folder / "state.pt", device=self._ranks.device)
        try:
            self.module.load_state_dict(state["model"])
            self._stateful.load_state_dict(state["optimizer"])
        except DAMAGE as error:
            raise HalfLoaded(folder, first_line(error)) from error


def _uncompiled(function: Any = None, **_: Any) -> Any:
    """Stands in for `torch.compile`: gives the function back as it is."""
    return function if function is not None else lambda f: f


class DeepSpeedEngine:
    """DeepSpeed with ZeRO."""

    def __init__(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, *, ranks: Ranks, settings: "EngineSettings"
    ) -> None:
        with needed_by("the engine 'deepspeed' (execution.engine)", extra="train"):
            import deepspeed  # half a second that the torch engine need not pay
            from deepspeed.runtime.zero.utils import ZERO_SUPPORTED_OPTIMIZERS
        ZERO_SUPPORTED_OPTIMIZERS.extend(OPTIMIZERS.values())  # torch's own, but it goes by the class itself

        if ranks.device.type == "cpu":
            # Without this DeepSpeed compiles a C++ shared-memory collective for most of a minute; gloo does the same.
            deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False  # type: ignore[attr-defined]
            with patch("torch.compile", _uncompiled):
                # Decorates Muon, which is not used here, at import: that would load torch's compiler, 1.5 s per run.
                import deepspeed.runtime.zero.muon.muon_optimizer
        self._ranks, self._accumulation = ranks, settings.grad_accum
        # ZeRO reads the learning rate from the optimizer that it wraps; loading a checkpoint replaces the groups there.
        self._optimizer, self._scales = optimizer, lr_scales(optimizer)
        self._engine, *_ = deepspeed.initialize(model=model, optimizer=optimizer, config=settings.deepspeed())
        self.module = self._engine.module
        self._shared_out = settings.zero_stage > 0

    def step(self, micros: list[MicroBatch], *, n_predicted: int, learning_rate: float) -> float:
        """See `Engine.step`."""
        set_rate(self._optimizer, learning_rate, self._scales)
        total = torch.zeros((), device=self._ranks.device)
        # DeepSpeed divides by the accumulation in backward and averages over ranks: both are undone here.
        scale = self._ranks.world * self._accumulation / n_predicted
        for micro in micros:
            summed = summed_loss(self._engine, micro, self._ranks.device)
            self._engine.backward(summed * scale)
            self._engine.step()
            total += summed.detach()
        return _global_mean(total, n_predicted, self._ranks.world)

    def save(self, folder: Path) -> None:
        """See `Engine.save`."""
        with failures_at_the_end(self._engine):
            self._engine.save_checkpoint(str(folder.parent), tag=folder.name, save_latest=False)

    def load(self, folder: Path, *, world: int) -> None:
        """See `Engine.load`."""
        if self._shared_out and world != self._ranks.world:
            load_from_another_world(self._engine, folder)
        else:
            load(self._engine, folder)


@dataclass(frozen=True)
class EngineSettings:
    """What an engine needs to know besides model and optimizer."""

    grad_accum: int
    precision: str
    gradient_clipping: float
    zero_stage: int

    def autocast(self, device: torch.device) -> torch.autocast:
        """bf16 matrix products, if asked for."""
        return torch.autocast(device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def deepspeed(self) -> dict[str, Any]:
        """DeepSpeed's configuration."""
        config: dict[str, Any] = {
            "train_micro_batch_size_per_gpu": 1,  # a label only: batches hold tokens, not a number of sequences
            "gradient_accumulation_steps": self.grad_accum,
            "gradient_clipping": self.gradient_clipping,  # DeepSpeed's own default is 1.0
            "zero_optimization": {"stage": self.zero_stage},
            "zero_allow_untested_optimizer": True,
            "steps_per_print": 2**31,
        }
        if self.precision == "bf16":
            config["torch_autocast"] = {"enabled": True, "dtype": "bfloat16"}
        return config


ENGINES = {"deepspeed": DeepSpeedEngine, "torch": TorchEngine}
"""The engines by name."""
