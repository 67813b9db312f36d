"""Devices, micro-batches and memory of a cell, against the engine's own cutting, DeepSpeed's estimate and autograd."""

import numpy as np
import pytest

from plmscale.errors import InputError
from plmscale.plan.allocation import allocate, allocations, device_counts
from plmscale.plan.hardware.device_types import DEVICE_TYPES
from plmscale.plan.hardware.devices import device_of, same_device
from plmscale.plan.memory import GIB, largest_micro_batch, memory_of, per_position
from plmscale.sets.batches import GlobalBatch
from plmscale.study.config import Execution, Hardware, ModelSize, Training
from plmscale.study.flops import count_params
from plmscale.study.grid import Cell

SIZE = {"n_layers": 12, "d_model": 480, "d_ffn": 1920, "n_heads": 20, "learning_rate": 1e-4, "schedules": ["constant"]}


def cell_of(*, batch: int = 50_000, max_length: int = 1024, **size) -> Cell:
    model = ModelSize.model_validate(SIZE | {"name": "m"} | size)
    return Cell(model, "s", "constant", 0, Training(batch_tokens=batch), max_length)


def global_batch(cell: Cell, rng: np.random.Generator) -> GlobalBatch:
    """A batch as `plmscale.sets.batches` fills it: whole sequences, not more tokens than `batch_tokens`."""
    lengths = rng.integers(3, cell.max_length + 1, size=2 * cell.training.batch_tokens // 3 + 1)
    kept = max(1, int(np.searchsorted(np.cumsum(lengths), cell.training.batch_tokens, side="right")))
    lengths = np.sort(lengths[:kept])
    tokens = np.zeros(int(lengths.sum()), np.uint8)
    return GlobalBatch(tokens, tokens, lengths, np.zeros(tokens.size, bool))


@pytest.mark.parametrize("seed", range(40))
def test_micro_batches_accumulation_and_devices_add_up_to_the_batch(seed):
    """For random sizes, batches and devices; what a run makes of them is asked of the trainer's formula and cutting."""
    rng = np.random.default_rng(seed)
    max_length = int(rng.choice([64, 256, 1024]))
    cell = cell_of(
        batch=int(rng.integers(max_length, 60_000)), max_length=max_length, n_layers=int(rng.integers(2, 40))
    )
    hardware = Hardware(
        memory_gib=float(rng.uniform(6, 80)),
        devices_per_node=int(rng.integers(1, 9)),
        max_nodes=int(rng.integers(1, 5)),
        peak_flops=1e13,
        watts=1,
    )
    batch = global_batch(cell, rng)
    for found in allocations(cell, 10**9, hardware=hardware):
        parts = found.devices * found.grad_accum
        assert 0 <= parts * found.micro_batch_tokens - cell.training.batch_tokens < parts
        per_rank = found.devices * found.micro_batch_tokens  # as plmscale.training.trainer counts
        assert found.grad_accum == max(1, -(-cell.training.batch_tokens // per_rank))
        cut = [part.tokens.size for part in batch.micro_batches(parts) if part.tokens.size > 2]  # 2: an empty share
        assert max(cut) <= largest_micro_batch(cell, parts)
        assert sum(cut) == batch.lengths.sum()
        assert found.memory.total <= 0.9 * hardware.memory_gib * GIB


def test_accumulation_divides_the_batch_where_it_can():
    """650M in a batch of 50,000 on 24 GiB: micro-batches of a whole number of tokens that add up exactly."""
    cell = cell_of(n_layers=33, d_model=1280, d_ffn=5120)
    found = allocate(cell, 10**9, hardware=Hardware(name="A10", devices_per_node=1, max_nodes=1))
    assert found.grad_accum > 1
    assert found.grad_accum * found.micro_batch_tokens == 50_000


def test_device_counts_double_within_a_node_and_stay_below_the_limit():
    assert list(device_counts(Hardware(devices_per_node=6, max_nodes=2))) == [1, 2, 4, 6, 12]
    assert list(device_counts(Hardware(max_devices=5))) == [1, 2, 4]


@pytest.mark.parametrize("devices", [1, 4, 16])
def test_zero_2_states_are_those_of_deepspeeds_estimate(devices):
    """Its weights and gradients have 16 bits: 2 + 18/devices bytes a parameter; ours have 32: 4 + 16/devices."""
    from deepspeed.runtime.zero.stage_1_and_2 import estimate_zero2_model_states_mem_needs

    cell = cell_of()
    n = count_params(cell.model)
    _, theirs = estimate_zero2_model_states_mem_needs(n, num_gpus_per_node=devices, cpu_offload=False)
    ours = memory_of(cell, devices=devices, grad_accum=1, execution=Execution(zero_stage=2))
    bucket = 500_000_000 * 4
    assert ours.states - bucket == pytest.approx(theirs + 2 * n - 2 * n / devices, abs=2)


def test_activations_are_what_autograd_saves():
    """The encoder with the kernel that fp32 takes on GPUs: the estimate is not below, and not half above."""
    torch = pytest.importorskip("torch")
    from plmscale.model import attention
    from plmscale.model.esm2 import ESM2
    from plmscale.sets.batches import MicroBatch
    from plmscale.training.engine import summed_loss

    cell = cell_of(n_layers=16, d_model=160, d_ffn=640)
    model, rng = ESM2(cell.model, seed=0), np.random.default_rng(0)
    lengths = np.array([300, 396, 400, 400, 500, 548])
    tokens = rng.integers(4, 24, int(lengths.sum())).astype(np.uint8)
    select = np.flatnonzero(rng.random(tokens.size) < 0.15)
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage  # held, so that no address is used twice
        return tensor

    with pytest.MonkeyPatch.context() as patch, torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        patch.setattr(attention, "_best_kernel", lambda _: "padded")
        loss = summed_loss(model, MicroBatch(tokens, lengths, select, tokens[select]), torch.device("cpu"))
    saved = sum(storage.nbytes() for storage in kept.values())
    assert loss.requires_grad
    assert 0.67 < saved / (per_position(cell) * tokens.size) <= 1


def test_a_named_device_brings_its_data_sheet_and_any_figure_can_be_overridden():
    assert device_of(Hardware(name="H100"), "bf16").peak_flops == pytest.approx(989.5e12)
    assert device_of(Hardware(name="H100"), "fp32").watts == 700
    assert device_of(Hardware(name="L40S", memory_gib=40, mfu=0.3), "tf32").memory_gib == 40
    assert device_of(Hardware(name="L40S", memory_gib=40, mfu=0.3), "tf32").mfu == 0.3
    own = device_of(Hardware(name="ours", peak_flops=1e12, memory_gib=8), "fp32")
    assert (own.peak_flops, own.watts, own.source) == (1e12, None, "")


def test_devices_that_cannot_be_planned_on_are_refused():
    with pytest.raises(InputError, match=r"hardware.name: 'H1OO' is not a known type \(V100-16GB.*peak_flops"):
        device_of(Hardware(name="H1OO"), "fp32")
    with pytest.raises(InputError, match="precision is 'bf16', which V100-32GB does not compute in"):
        device_of(Hardware(name="V100-32GB"), "bf16")


@pytest.mark.parametrize(
    ("reported", "name"),
    [
        ("NVIDIA A100-SXM4-40GB", "A100-40GB"),
        ("NVIDIA A100-SXM4-80GB", "A100-80GB"),
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("NVIDIA H100 PCIe", "H100-PCIe"),
        ("NVIDIA H100 NVL", "H100-NVL"),
        ("NVIDIA H200", "H200"),
        ("NVIDIA GH200 480GB", "GH200"),
        ("NVIDIA B200", "B200"),
        ("NVIDIA B300 SXM6 AC", "B300"),
        ("NVIDIA GeForce RTX 3090", "RTX-3090"),
        ("NVIDIA RTX A6000", "RTX-A6000"),
        ("NVIDIA RTX 6000 Ada Generation", "RTX-6000-Ada"),
        ("NVIDIA RTX PRO 6000 Blackwell Server Edition", "RTX-PRO-6000"),
        ("AMD Instinct MI300X", "MI300X"),
        ("NVIDIA L40S", "L40S"),
        ("NVIDIA A40", "A40"),
        ("Tesla V100-SXM2-32GB", "V100-32GB"),
    ],
)
def test_what_drivers_call_devices_is_one_type_each(reported, name):
    assert [other for other in DEVICE_TYPES if same_device(other, reported)] == [name]
