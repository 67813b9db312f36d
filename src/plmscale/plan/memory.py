"""Memory of one device while it trains, part by part, before anything is measured.

The parts are those of EleutherAI's *Transformer Math 101* (2023) and of DeepSpeed's own estimate
(`estimate_zero2_model_states_mem_needs`), with weights and gradients in fp32 as this engine has them.
"""

from dataclasses import dataclass

from ..study.config import Execution
from ..study.flops import count_params
from ..study.grid import Cell

FP32 = 4
"""Bytes of a number."""

SAVED_BYTES = {"fp32": 76, "tf32": 76, "bf16": 45}
"""Bytes that autograd saves for the backward pass per position, layer and unit of d_model: measured on this encoder
with the padded attention kernel on mixed lengths (66 to 75 in fp32, 44 in bf16, where the residual stream stays fp32;
tests/test_memory.py). Korthikanti et al. 2022, equation 1 without its s² term, have 34 at 16 bits throughout."""

BUCKET = 500_000_000
"""Numbers in the buffer through which ZeRO reduces gradients (DeepSpeed's `reduce_bucket_size`): a GPU allocates all of
it, whatever the size of the model; a CPU only what is touched."""

USABLE = 0.9
"""Share of a device's memory left to tensors by allocator and runtime: a rule of thumb."""

GIB = 2**30


@dataclass(frozen=True)
class Memory:
    """Bytes of one device by part.

    Attributes
    ----------
    weights : float
    gradients : float
        With the buffer through which they are reduced.
    optimizer : float
        Adam's moments; under ZeRO the device's share of them and of an fp32 copy of the weights.
    activations : float
        What the largest micro-batch keeps for the backward pass.
    """

    weights: float
    gradients: float
    optimizer: float
    activations: float

    @property
    def states(self) -> float:
        """All but the activations."""
        return self.weights + self.gradients + self.optimizer

    @property
    def total(self) -> float:
        """All parts."""
        return self.states + self.activations


def largest_micro_batch(cell: Cell, parts: int) -> int:
    """Positions of the largest micro-batch when a global batch is cut into `parts` at the ends of sequences.

    A part ends with the sequence that reaches its equal share (`GlobalBatch.micro_batches`), so that it may exceed the
    share by one sequence less one position.
    """
    batch = max(cell.training.batch_tokens, cell.max_length)
    return batch if parts == 1 else min(batch, -(-batch // parts) + cell.max_length - 1)


def per_position(cell: Cell) -> int:
    """Bytes that one position keeps for the backward pass."""
    return SAVED_BYTES[cell.training.precision] * cell.model.d_model * cell.model.n_layers


def memory_of(cell: Cell, *, devices: int, grad_accum: int, execution: Execution, gpu: bool = True) -> Memory:
    """Memory of one device.

    Parameters
    ----------
    cell : Cell
    devices : int
        Devices that train the cell.
    grad_accum : int
        Micro-batches per optimizer step and device.
    execution : Execution
        Engine and ZeRO stage. Stage 1 and 2 share out the moments and an fp32 copy of the weights (Rajbhandari et al.
        2020, §5), stage 2 the gradients too, once they are reduced.
    gpu : bool
        Whether buffers take their memory whether they are filled or not.

    Returns
    -------
    Memory

    Examples
    --------
    Weights of the paper's smallest size, 5,036,160 parameters of four bytes:

    >>> from plmscale.study.config import ModelSize, Training
    >>> size = ModelSize(name="5M", n_layers=4, d_model=320, d_ffn=1280, n_heads=20,
    ...                  learning_rate=1e-5, schedules=["constant"])
    >>> cell = Cell(size, "s", "constant", 0, Training(), 1024)
    >>> memory_of(cell, devices=8, grad_accum=1, execution=Execution()).weights
    20144640.0
    """
    n = count_params(cell.model)
    stage = execution.zero_stage if execution.engine == "deepspeed" else 0
    activations = per_position(cell) * largest_micro_batch(cell, devices * grad_accum)
    if stage == 0:
        return Memory(FP32 * float(n), FP32 * float(n), 2 * FP32 * float(n), activations)
    gradients = n / devices if stage == 2 else n
    bucket = BUCKET if gpu else min(n, BUCKET)
    return Memory(FP32 * float(n), FP32 * (gradients + bucket), 3 * FP32 * n / devices, activations)
