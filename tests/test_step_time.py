"""What devices lose to each other and to small micro-batches: by hand, and against speeds that others published."""

from dataclasses import replace

import numpy as np
import pytest

from conftest import ROOT
from plmscale.plan.allocation import allocate, allocations
from plmscale.plan.hardware.communication import communication_seconds, traffic_of
from plmscale.plan.hardware.device_types import DEVICE_TYPES
from plmscale.plan.hardware.devices import device_of, same_device
from plmscale.plan.hardware.step_time import KERNELS_A_LAYER, LONGER, StepTime
from plmscale.plan.hardware.utilisation import PUBLISHED, UTILISATION
from plmscale.plan.pace import assumed_pace
from plmscale.sets.batches import GlobalBatch
from plmscale.study.config import Execution, Hardware, ModelSize, Training
from plmscale.study.grid import Cell, grid

A100 = Hardware(name="A100-80GB")


def cell_of(study, model: str) -> Cell:
    return next(cell for cell in grid(study) if cell.model.name == model and cell.subset == "uniref50")


def step_of(cell: Cell, hardware: Hardware = A100, execution: Execution | None = None) -> StepTime:
    device = device_of(hardware, cell.training.precision)
    return StepTime(cell, device, hardware.devices_per_node, execution or Execution())


def test_650m_on_1_8_and_32_devices_by_hand(paper_study):
    """Batches of 50,000, A100 of 8 a node, fp32, ZeRO 2.

    N = 33 · (3 + 1) · 1280² + 33 · 2 · 1280 · 5120 + 1280² + 2 · 29 · 1280 = 650,519,040, in bytes 2.60208e9.
    Rate 0.5 · 19.5e12 = 9.75e12 FLOP/s; 4.4282e9 FLOPs a position (appendix E) are 454.17 µs.
    Half a wave of all products: ½ · 108 · 128² · 2 · 33 · (8 · 1280 + 2 · 5120) / 9.75e12 = 0.12265 s.

     1: 50,000 · 454.17e-6 + 0.12265                        = 22.831 s
     8: largest 6,250 + 307.2 positions: 2.9781 + 0.12265   =  3.1007 s
        sent 7/8 · (2 + 1) · 2.60208e9 = 6.8305e9 over 0.8 · 300e9      = 28.46 ms
        latency 7 hops · 5.7 µs · (2 · 2 buckets + 1)                   =  0.20 ms
        together 3.1294 s; 22.831 / (8 · 3.1294)            =  0.9120
    32: largest 1,562.5 + 307.2: 0.84916 + 0.12265          =  0.97181 s
        sent 31/32 · 3 · 2.60208e9 = 7.5623e9 over 0.95 · 8 · 25e9      = 39.80 ms
        latency (28 · 5.7 + 3 · 9.6) µs · (2 · 2 buckets + 1)           =  0.94 ms
        together 1.01255 s; 22.831 / (32 · 1.01255)         =  0.7046
    """
    step = step_of(cell_of(paper_study, "650M"))
    assert step.wave_seconds == pytest.approx(0.12265, rel=1e-4)
    assert [step.seconds(p, 1) for p in (1, 8, 32)] == pytest.approx([22.831, 3.1294, 1.01255], rel=1e-4)
    assert [step.communication_seconds(p, 1) for p in (1, 8, 32)] == pytest.approx([0, 28.66e-3, 40.74e-3], rel=1e-3)
    assert [step.efficiency(p, 1) for p in (1, 8, 32)] == pytest.approx([1, 0.9120, 0.7046], rel=1e-3)


def test_bytes_of_650m_by_hand(paper_study):
    """bf16 under ZeRO: 2 · (N - 2 · 29 · 1280) + 4 · 2 · 29 · 1280 = 1.301187e9; else 4 N = 2.602076e9."""
    model, wide, narrow = cell_of(paper_study, "650M").model, 2_602_076_160, 1_301_186_560
    for engine, stage, precision, expected in [
        ("deepspeed", 2, "fp32", (wide, 3, wide)),
        ("deepspeed", 2, "bf16", (narrow, 3, wide)),
        ("deepspeed", 1, "bf16", (narrow, 1, wide)),
        ("deepspeed", 0, "bf16", (wide, 1, 0)),
        ("torch", 2, "bf16", (wide, 1, 0)),
    ]:
        execution = Execution(engine=engine, zero_stage=stage)
        found = traffic_of(model, precision=precision, execution=execution, grad_accum=3)
        assert (found.reduced, found.sums, found.gathered) == expected


def test_a_narrow_network_and_small_micro_batches_show(paper_study):
    """One adapter of 100 Gb/s a node, bf16: the sums of 100M take longer than its products on 32 devices."""
    cell = cell_of(paper_study, "100M")
    slow = A100.model_copy(update={"network_gb_s": 12.5})
    half = replace(cell, training=cell.training.model_copy(update={"precision": "bf16"}))
    step = step_of(half, slow)
    assert step.communication_seconds(32, 1) > step.micro_batch_seconds(1563)
    assert step.efficiency(32, 1) < 0.25
    assert step.communication_seconds(8, 1) == step_of(half).communication_seconds(8, 1)
    assert step.communication_seconds(8, 4) > 2.5 * step.communication_seconds(8, 1)  # ZeRO 2 sums each micro-batch
    small = step_of(replace(half, model=cell_of(paper_study, "5M").model))
    assert small.micro_batch_seconds(100) == 4 * KERNELS_A_LAYER["bf16"] * 5e-6  # bound by the starts of its kernels


def test_the_plan_gives_a_cell_no_devices_that_mostly_wait(paper_study):
    """100M on 32 devices at 1,563 tokens each keeps 0.64 of its speed: 24 it is, though 32 would meet the target."""
    cell, tokens = cell_of(paper_study, "100M"), 64_000_000 * 325
    every = list(allocations(cell, tokens, hardware=A100))
    assert [one.micro_batch_tokens for one in every][-1] == 1563
    assert every[-1].efficiency < 0.65 and every[-1].hours < 24
    assert allocate(cell, tokens, hardware=A100).devices == 24
    assert allocate(cell, tokens, hardware=A100.model_copy(update={"least_efficiency": 0.75})).devices == 16
    assert allocate(cell, tokens, hardware=A100.model_copy(update={"doubling_efficiency": 0.95})).devices == 32


BERT_LARGE = ModelSize(
    name="bert", n_layers=24, d_model=1024, d_ffn=4096, n_heads=16, learning_rate=1e-4, schedules=["constant"]
)
PER_TOKEN = {128: 1.85e9, 512: 1.97e9}
"""FLOPs a token of BERT-large: 6 · 303e6 + 12 · 24 · s · 1024."""

ON_ONE = {(128, 8): 33.36, (128, 32): 40.32, (512, 2): 7.56, (512, 4): 8.36}
ON_MORE = {
    (128, 8, 4): 121.92,
    (128, 8, 8): 245.12,
    (128, 32, 4): 154.88,
    (128, 32, 8): 309.76,
    (512, 2, 4): 28.0,
    (512, 2, 8): 56.16,
    (512, 4, 4): 31.52,
    (512, 4, 8): 62.72,
}
"""Sequences a second in fp32 on V100s of a DGX-1, by length, sequences a device, and devices (NVIDIA
DeepLearningExamples, BERT for PyTorch, 19.07)."""


def bert(length: int) -> StepTime:
    cell = Cell(BERT_LARGE, "s", "constant", 0, Training(batch_tokens=50_000), length)
    return step_of(cell, Hardware(name="V100-32GB", mfu=0.54))


@pytest.mark.parametrize(("length", "small", "large"), [(128, 8, 32), (512, 2, 4)])
def test_published_speeds_of_small_micro_batches(length, small, large):
    step = bert(length)
    kept = [n * length / step.micro_batch_seconds(n * length) for n in (small, large)]
    assert kept[0] / kept[1] == pytest.approx(ON_ONE[length, small] / ON_ONE[length, large], abs=0.02)


def test_published_speeds_of_several_devices():
    """Sums of 336 million gradients in fp32, once a step; every device had as many sequences as one alone."""
    traffic = replace(
        traffic_of(BERT_LARGE, precision="fp32", execution=Execution(engine="torch"), grad_accum=1), calls=1
    )
    traffic = replace(traffic, reduced=4 * 336e6)
    device = device_of(Hardware(name="V100-32GB"), "fp32")
    for (length, each, devices), rate in ON_MORE.items():
        alone = each / ON_ONE[length, each]
        told = communication_seconds(traffic, devices, devices_per_node=8, device=device)
        published = rate / (devices * ON_ONE[length, each])
        assert alone / (alone + told) == pytest.approx(published, abs=0.035)


def test_the_assumed_share_of_v100_is_that_published():
    """8.36 · 512 · 1.97e9 FLOP/s of 15.7e12."""
    (record,) = (one for one in PUBLISHED if one.precision == "fp32")
    assert record.share == pytest.approx(8.36 * 512 * PER_TOKEN[512] / 15.7e12, rel=2e-3)


def test_the_largest_micro_batch_is_as_the_engine_cuts_it():
    """Log-normal lengths with the paper's mean of 325: the largest exceeds an equal share by 0.2 to 0.4 of 1024."""
    rng = np.random.default_rng(0)
    excess = []
    for _ in range(20):
        lengths = np.minimum(rng.lognormal(np.log(325) - 0.245, 0.7, 200).astype(int) + 2, 1024)
        lengths = np.sort(lengths[: np.searchsorted(np.cumsum(lengths), 50_000)])
        tokens = np.zeros(lengths.sum(), np.uint8)
        batch = GlobalBatch(tokens, tokens, lengths, np.zeros(tokens.size, bool))
        for parts in (4, 8, 16, 32):
            cut = [micro.tokens.size for micro in batch.micro_batches(parts)]
            excess.append(max(cut) - sum(cut) / parts)
    assert np.mean(excess) / 1024 == pytest.approx(LONGER, abs=0.1)


def test_kernels_of_a_layer_are_as_many_as_counted(monkeypatch):
    """What a layer more adds, of calls that are no views; on a GPU as here, but for the kernels of attention."""
    torch = pytest.importorskip("torch")
    from torch.utils._python_dispatch import TorchDispatchMode

    from plmscale.model import attention
    from plmscale.model.esm2 import ESM2

    monkeypatch.setattr(attention, "_best_kernel", lambda _: "padded")

    class Kernels(TorchDispatchMode):
        n = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            aliases = any(one.alias_info and not one.alias_info.is_write for one in func._schema.arguments)
            self.n += not (aliases or func is torch.ops.aten._unsafe_view.default)
            return func(*args, **(kwargs or {}))

    def kernels(layers: int, precision: str) -> int:
        size = ModelSize(
            name="s", n_layers=layers, d_model=16, d_ffn=64, n_heads=2, learning_rate=1e-4, schedules=["constant"]
        )
        model, tokens = ESM2(size, seed=0), torch.arange(4, 20)
        with Kernels() as count, torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            model(tokens, None, lengths=torch.tensor([9, 7])).float().sum().backward()
        return count.n

    for precision in ("fp32", "bf16"):
        assert kernels(4, precision) - kernels(3, precision) == pytest.approx(KERNELS_A_LAYER[precision], abs=3)


def test_utilisation_by_size_is_published_or_the_default(paper_study):
    hardware = Hardware(name="H200")
    half = paper_study.config.training.model_copy(update={"precision": "bf16"})
    shares = {}
    for model in ("35M", "650M"):
        cell = replace(cell_of(paper_study, model), training=half)
        pace = assumed_pace(cell, hardware, execution=Execution())
        shares[model] = pace.tokens_per_second * {"35M": 2.736e8, "650M": 4.428e9}[model] / 989.5e12
        set_by_hand = assumed_pace(cell, hardware.model_copy(update={"mfu": 0.2}), execution=Execution())
        assert set_by_hand.tokens_per_second == pytest.approx(pace.tokens_per_second * 0.2 / shares[model], rel=1e-3)
    assert shares["35M"] == pytest.approx(UTILISATION["bf16"], rel=1e-3)
    assert shares["650M"] == pytest.approx(0.3976, rel=1e-3)


def test_devices_joined_one_by_one_have_a_part_of_the_links_each():
    """MI300X: 64 GB/s to each of seven others. A bandwidth set by hand is taken as it is."""
    traffic = replace(
        traffic_of(BERT_LARGE, precision="fp32", execution=Execution(zero_stage=0), grad_accum=1), calls=0
    )
    for hardware, expected in [
        (Hardware(name="MI300X"), {2: 64, 4: 192, 8: 448}),
        (Hardware(name="GH200", devices_per_node=4), {2: 150, 4: 450}),
        (Hardware(name="MI300X", link_gb_s=100), {2: 100, 8: 100}),
        (Hardware(name="H100"), {2: 450, 8: 450}),
    ]:
        device = device_of(hardware, "bf16")
        for devices, bandwidth in expected.items():
            told = communication_seconds(traffic, devices, devices_per_node=8, device=device)
            sent = 2 * (devices - 1) / devices * traffic.reduced
            assert told == pytest.approx(sent / (0.8 * bandwidth * 1e9), rel=1e-9)


@pytest.mark.parametrize(
    ("name", "reported", "same"),
    [
        ("H200", "NVIDIA H200", True),
        ("H200", "NVIDIA H200 NVL", False),
        ("H200", "NVIDIA GH200 480GB", False),
        ("GH200", "NVIDIA GH200 480GB", True),
        ("RTX-4090", "NVIDIA GeForce RTX 4090", True),
        ("RTX-4090", "NVIDIA GeForce RTX 4090 D", False),
        ("B300", "NVIDIA B300 SXM6 AC", True),
        ("B300", "NVIDIA GB300", False),
    ],
)
def test_devices_of_like_names_are_told_apart(name, reported, same):
    """GB300, H200 NVL and 4090 D have other peaks, links or memory."""
    assert same_device(name, reported) is same


@pytest.mark.parametrize("name", DEVICE_TYPES)
def test_figures_of_devices_are_of_the_right_order(name):
    """Dense peaks: bf16 is two to sixteen times fp32 and at least TF32; links are no slower than PCI Express 4."""
    one = DEVICE_TYPES[name]
    assert one.fp32 <= one.tf32
    assert one.bf16 is None or one.tf32 * 1.9 <= one.bf16 <= 32 * one.fp32
    assert one.link >= 31 and (one.network is None or one.network < one.link)
    assert 16 <= one.memory_gib <= 288 and 70 <= one.watts <= 1400 and 56 <= one.multiprocessors <= 304
    assert one.source and (ROOT / "config/README.md").read_text().count(f"| `{name}` | {one.fp32:g} |") == 1
