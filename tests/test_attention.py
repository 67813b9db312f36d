"""Attention over packed sequences against the textbook formula in double precision."""

import inspect
import operator
import os
import re
import subprocess
import sys
import tomllib
import types
from pathlib import Path

import numba
import numpy as np
import pytest
import torch
from esm.rotary_embedding import RotaryEmbedding
from torch.utils._python_dispatch import TorchDispatchMode

from conftest import ROOT
from plmscale.model import attention
from plmscale.model.attention import PackedLayout, Rotation, attend, spare_features
from plmscale.model.cpu_attention.simd import (
    LANES,
    exp2,
    load,
    load_each,
    pointer,
    store,
    store_each,
    swapped,
    transposed,
)

CPU = torch.device("cpu")
_EACH_LANE = (0,) * LANES
LENGTHS = torch.tensor([7, 7, 19, 2, 11, 1, 16, 33])
SELECT = torch.tensor([0, 3, 20, 21, 22, 34, 46, 47, 62, 63, *range(70, 96)])  # none of the fourth sequence


def case(head_dim: int, *, selected: bool, sd: float = 1.0) -> tuple[torch.Tensor, PackedLayout, Rotation]:
    """Queries, keys and values of three heads, of which only the first two are attended to by the selected rows."""
    torch.manual_seed(0)
    layout = PackedLayout.of(LENGTHS, SELECT if selected else None, device=CPU)
    qkv = sd * torch.randn(int(LENGTHS.sum()), 3, 3, head_dim)
    inv_freq = 1 / 10000 ** (torch.arange(0, head_dim, 2) / head_dim)
    return qkv, layout, Rotation.at(layout.positions, inv_freq, longest=int(LENGTHS.max()))


def attended(
    qkv: torch.Tensor, layout: PackedLayout, rotation: Rotation, *, kernel: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mixed values, and the gradient of some sum of them."""
    qkv = qkv.detach().requires_grad_()
    if layout.select is None:
        mixed = attend(None, qkv, rotation, layout, kernel=kernel)
    else:
        mixed = attend(qkv[layout.select, 0], qkv[:, 1:], rotation, layout, kernel=kernel)
    (gradient,) = torch.autograd.grad((mixed * weights_like(mixed)).sum(), qkv)
    return mixed.detach(), gradient


def weights_like(mixed: torch.Tensor) -> torch.Tensor:
    """The same for all ways to compute."""
    return torch.randn(mixed.shape, generator=torch.Generator().manual_seed(1))


def formula(qkv: torch.Tensor, layout: PackedLayout) -> tuple[torch.Tensor, torch.Tensor]:
    """softmax(q·k/√d)·v in double precision, with the rotation of fair-esm's own module, sequence by sequence.

    Features come interleaved and go to fair-esm's order, which turns halves together.
    """
    qkv = qkv.double().requires_grad_()
    rotary = RotaryEmbedding(qkv.shape[-1]).double()
    halves = torch.cat((qkv[..., 0::2], qkv[..., 1::2]), -1)
    rows = []
    for part, plain in zip(halves.split(LENGTHS.tolist()), qkv.split(LENGTHS.tolist()), strict=True):
        q, k = rotary(part[:, 0].transpose(0, 1), part[:, 1].transpose(0, 1))
        shares = (q @ k.transpose(-1, -2) / qkv.shape[-1] ** 0.5).softmax(-1)
        rows.append((shares @ plain[:, 2].transpose(0, 1)).transpose(0, 1).flatten(1))
    mixed = torch.cat(rows)
    mixed = mixed if layout.select is None else mixed[layout.select]
    (gradient,) = torch.autograd.grad((mixed * weights_like(mixed)).sum(), qkv)
    return mixed.detach(), gradient


@pytest.mark.parametrize("selected", [False, True], ids=["all", "selected"])
@pytest.mark.parametrize(("kernel", "head_dim"), [("padded", 16), ("cpu", 6), ("cpu", 16), ("cpu", 44)])
def test_kernels_equal_the_formula(kernel, head_dim, selected):
    """Head dimensions below one vector, of whole vectors, and of more features than are worked on together."""
    qkv, layout, rotation = case(head_dim, selected=selected)
    for found, expected in zip(attended(qkv, layout, rotation, kernel=kernel), formula(qkv, layout), strict=True):
        torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=5e-6)


@pytest.fixture
def as_on_cuda(monkeypatch) -> list[dict]:
    """Heads are padded as on CUDA; what reaches `scaled_dot_product_attention`, which computes it on the CPU."""
    calls: list[dict] = []
    real = torch.nn.functional.scaled_dot_product_attention

    def noting(q, k, v, **options):
        calls.append({"shapes": [x.shape for x in (q, k, v)], "dtype": q.dtype, **options})
        return real(q, k, v, **options)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", noting)
    monkeypatch.setattr(
        attention, "spare_features", lambda n, *, device, dtype: spare_features(n, device="cuda", dtype=dtype)
    )
    return calls


@pytest.mark.parametrize("selected", [False, True], ids=["all", "selected"])
@pytest.mark.parametrize(
    ("head_dim", "reaches"), [(16, 16), (20, 20), (24, 24), (26, 28), (30, 32), (32, 32), (44, 44), (64, 64)]
)
def test_heads_of_any_size_reach_a_fused_kernel_in_float32(as_on_cuda, head_dim, reaches, selected):
    """The heads of the paper's sizes: 26 features at 50M, 30 at 100M, which the memory-efficient kernel refuses."""
    qkv, layout, rotation = case(head_dim, selected=selected)
    found = attended(qkv, layout, rotation, kernel="padded")
    (call,) = as_on_cuda
    assert [shape[-1] for shape in call["shapes"]] == [reaches] * 3
    assert all(shape[:2] == (len(LENGTHS), 3) for shape in call["shapes"])
    assert call["scale"] == (None if reaches == head_dim else head_dim**-0.5)
    for part, expected in zip(found, formula(qkv, layout), strict=True):
        torch.testing.assert_close(part.double(), expected, rtol=1e-5, atol=5e-6)


@pytest.mark.parametrize(("head_dim", "reaches"), [(16, 16), (20, 24), (26, 32), (30, 32), (44, 48)])
def test_heads_of_any_size_reach_a_fused_kernel_in_half_precision(as_on_cuda, head_dim, reaches):
    qkv, layout, rotation = case(head_dim, selected=False)
    mixed = attend(None, qkv.bfloat16(), rotation, layout, kernel="padded")
    assert [shape[-1] for shape in as_on_cuda[0]["shapes"]] == [reaches] * 3
    torch.testing.assert_close(mixed.double(), formula(qkv, layout)[0], rtol=0.05, atol=0.05)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_heads_on_cpus_stay_as_they_are(dtype):
    assert [spare_features(n, device="cpu", dtype=dtype) for n in (20, 26, 30)] == [0, 0, 0]
    assert spare_features(26, device="cuda", dtype=torch.float64) == 0


class Operations(TorchDispatchMode):
    """Notes the names of torch's operations; "mask" for an index or a choice by a mask, whose size a GPU must tell."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        masks = name == "index" and any(x is not None and x.dtype == torch.bool for x in args[1])
        self.names.add("mask" if masks or name.startswith("masked_s") else name)
        return func(*args, **(kwargs or {}))


def test_padded_rows_are_laid_out_once_a_micro_batch():
    """Layers after the first copy no lengths and look for nothing: either would wait for a GPU."""
    qkv, layout, rotation = case(16, selected=False)
    first = attend(None, qkv, rotation, layout, kernel="padded")
    with Operations() as seen:
        again = attend(None, qkv, rotation, layout, kernel="padded")
    assert torch.equal(first, again)
    assert "index_put" in seen.names
    assert not seen.names & {"mask", "nonzero", "_local_scalar_dense", "_to_copy", "lift_fresh", "arange"}
    with Operations() as seen:
        qkv[:, 0, 0, 0][layout.positions == 0].sum().item()
    assert {"mask", "_local_scalar_dense"} <= seen.names  # it sees what it is to see


def _of_torch_2_10(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, is_causal=False, return_aux=None):  # noqa: PLR0913
    """The parameters of the first published `varlen_attn`."""


def _of_torch_2_11(  # noqa: PLR0913
    query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, *, return_aux=None, scale=None, window_size=(-1, -1)
):
    """The parameters of the next one, which later ones add to."""


@pytest.mark.parametrize(
    ("published", "taken"),
    [(None, False), (_of_torch_2_10, False), (_of_torch_2_11, True)],
    ids=["2.9", "2.10", "2.11"],
)
def test_variable_length_attention_is_used_where_it_takes_the_scale(monkeypatch, published, taken):
    """Elsewhere half precision takes the padded path."""
    module = types.ModuleType("torch.nn.attention.varlen")
    if published:
        module.varlen_attn = published  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.nn.attention.varlen", module)
    attention.varlen_kernel.cache_clear()
    try:
        assert (attention.varlen_kernel() is published) == (taken or published is None)
    finally:
        attention.varlen_kernel.cache_clear()


FIRST_IN = {
    "torch.nn.functional.scaled_dot_product_attention": ((2, 1), {"attn_mask", "scale"}),
    "torch.serialization.safe_globals": ((2, 5), set()),
}
"""What is used of torch without asking whether it is there: the version that has it first, and the options given.
The second is pytorch's pull request 127939, which no release before 2.5 has."""


@pytest.mark.parametrize("name", FIRST_IN)
def test_the_oldest_torch_that_is_allowed_has_what_is_used(name):
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["train"]
    (allowed,) = (found for one in extra if (found := re.match(r"torch>=(\d+)\.(\d+),<3", one)))
    first, options = FIRST_IN[name]
    assert tuple(map(int, allowed.groups())) >= first
    used = operator.attrgetter(name.removeprefix("torch."))(torch)
    assert all(option in (used.__doc__ or "") for option in options)


def test_variable_length_attention_of_this_torch_takes_what_is_passed(monkeypatch):
    """Its own parameters, with heads of 30 features padded to 32."""
    kernel = attention.varlen_kernel()
    if kernel is None:
        pytest.skip("this torch has no variable-length attention that takes the scale")
    bound = []

    def standing_in(*words, **options):
        bound.append(inspect.signature(kernel).bind(*words, **options).arguments)
        return words[0]

    monkeypatch.setattr(attention, "varlen_kernel", lambda: standing_in)
    qkv, layout, rotation = case(30, selected=True)
    half = qkv.bfloat16()
    assert layout.select is not None
    mixed = attend(half[layout.select, 0], half[:, 1:], rotation, layout, kernel="varlen")
    assert mixed.shape == (len(layout.select), 90)
    assert bound[0]["query"].shape[-1] == bound[0]["value"].shape[-1] == 32
    assert bound[0]["scale"] == 30**-0.5
    assert bound[0]["cu_seq_k"].tolist() == [0, *LENGTHS.cumsum(0).tolist()]


def test_vectors_of_eight_floats_give_the_same(tmp_path):
    """What processors without 512-bit registers run, here whatever this one has."""
    code = (
        "import llvmlite.binding as llvm\n"
        "features = llvm.get_host_cpu_features(); features['avx512f'] = False\n"
        "llvm.get_host_cpu_features = lambda: features\n"
        "import test_attention as t; assert t.LANES == 8\n"
        "t.test_kernels_equal_the_formula('cpu', 16, False); t.test_kernels_equal_the_formula('cpu', 16, True)\n"
        "t.test_exp2_is_exact_to_the_last_bits_and_keeps_what_is_no_number()\n"
    )
    env = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("selected", [False, True], ids=["all", "selected"])
def test_threads_do_not_change_a_bit(selected):
    before, found = torch.get_num_threads(), []
    try:
        for n in (1, 2, 3, 50):  # of three heads of eight sequences
            torch.set_num_threads(n)
            found.append(attended(*case(16, selected=selected), kernel="cpu"))
    finally:
        torch.set_num_threads(before)
    for mixed, gradient in found[1:]:
        assert torch.equal(mixed, found[0][0])
        assert torch.equal(gradient, found[0][1])


def test_scores_of_ten_thousands_do_not_overflow():
    qkv, layout, rotation = case(16, selected=False, sd=100.0)
    assert (qkv[:, 0] * qkv[:, 1]).sum(-1).abs().max() / 4 > 20_000
    mixed, gradient = attended(qkv, layout, rotation, kernel="cpu")
    torch.testing.assert_close(
        mixed.double(), formula(qkv, layout)[0], rtol=1e-2, atol=1.0
    )  # exponents are off by 1e-3
    assert gradient.isfinite().all()


@pytest.mark.parametrize(("part", "reaches"), [(0, [9]), (1, range(7, 14)), (2, range(7, 14))])
def test_what_is_no_number_reaches_whom_it_would(part, reaches):
    """A query concerns its own row, a key and a value all rows of their sequence: a run that diverges must be seen."""
    qkv, layout, rotation = case(16, selected=False)
    qkv[9, part, 1, 3] = np.nan
    mixed, _ = attended(qkv, layout, rotation, kernel="cpu")
    assert mixed.isnan().any(1).nonzero()[:, 0].tolist() == list(reaches)


def test_no_selected_row_gives_gradients_of_zero():
    qkv, layout, rotation = case(16, selected=False)
    layout = PackedLayout.of(LENGTHS, SELECT[:0], device=CPU)
    mixed, gradient = attended(qkv, layout, rotation, kernel="cpu")
    assert mixed.shape == (0, 48)
    assert not gradient.any()


@numba.njit
def _exp2_of(x: np.ndarray, out: np.ndarray) -> None:
    for at in range(0, x.size, LANES):
        store(pointer(out, 0), at, exp2(load(pointer(x, 0), at)))


def test_exp2_is_exact_to_the_last_bits_and_keeps_what_is_no_number():
    x = np.linspace(-125, 127, 4096 * LANES, dtype=np.float32)
    found = np.empty_like(x)
    _exp2_of(x, found)
    np.testing.assert_allclose(found, np.exp2(x.astype(np.float64)), rtol=2.5e-7)
    ends = np.array([-np.inf, -1e30, -127, np.nan, *[0] * (LANES - 4)], dtype=np.float32)
    found = np.empty_like(ends)
    _exp2_of(ends, found)
    assert found[:3].tolist() == [2.0**-126] * 3
    assert np.isnan(found[3])
    assert (found[4:] == 1).all()


@numba.njit
def _moved(x: np.ndarray, turned: np.ndarray, swaps: np.ndarray) -> None:
    store_each(pointer(turned, 0), 0, LANES, transposed(load_each(pointer(x, 0), 0, LANES, _EACH_LANE)))
    store(pointer(swaps, 0), 0, swapped(load(pointer(x, 0), 0)))


def test_lanes_change_places():
    x = np.arange(LANES * LANES, dtype=np.float32).reshape(LANES, LANES)
    turned, swaps = np.empty_like(x), np.empty(LANES, np.float32)
    _moved(x, turned, swaps)
    np.testing.assert_array_equal(turned, x.T)
    np.testing.assert_array_equal(swaps, x[0].reshape(-1, 2)[:, ::-1].ravel())
