"""Self-attention with rotary positions over packed sequences: no position is spent on padding.

Tokens of all sequences of a micro-batch lie one after the other. Three kernels compute the same function:

`cpu`     CPU, float32: `cpu_attention`, made for heads of 16 to 64 features, on which torch's own kernel is slow.
`varlen`        CUDA, half precision: torch's variable-length flash attention.
`padded`        everything else, and the reference: rows are padded for the attention alone.

On CUDA, heads are padded to the features that the kernels take (`spare_features`). Without that, torch's
`scaled_dot_product_attention` stores the matrices of all heads, for which the plan's memory has no term.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


@cache
def varlen_kernel() -> Callable[..., Any] | None:
    """torch's variable-length attention, if this torch has one that takes the scale.

    Only a GPU asks for it: its import brings torch's compiler along, half of the time of a start.
    """
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:  # before torch 2.10
        return None
    return varlen_attn if "scale" in inspect.signature(varlen_attn).parameters else None


@dataclass(frozen=True)
class PackedLayout:
    """Where the sequences of a micro-batch lie among its packed tokens.

    Attributes
    ----------
    lengths : tuple of int
        Positions of each sequence.
    positions : Tensor of int64, shape (n_tokens,)
        Place of each token in its sequence.
    select : Tensor of int64, shape (k,), or None
        Ascending packed positions at which the last block's output is wanted; None: everywhere.
    selected_lengths : tuple of int
        How many of them are in each sequence.
    """

    lengths: tuple[int, ...]
    positions: Tensor
    select: Tensor | None
    selected_lengths: tuple[int, ...]

    @classmethod
    def of(cls, lengths: Tensor, select: Tensor | None, *, device: torch.device) -> "PackedLayout":
        """Layout of sequences of these `lengths` (on the CPU) for tokens on `device`.

        `select` on the CPU spares a GPU's queue a synchronisation: kernels must be told the largest count.
        """
        ends = lengths.cumsum(0)
        n_tokens = int(ends[-1])
        positions = torch.arange(n_tokens) - (ends - lengths).repeat_interleave(lengths)
        counts = lengths
        if select is not None:
            up_to = torch.searchsorted(select.cpu(), ends)
            counts = up_to.diff(prepend=up_to.new_zeros(1))
            select = select.to(device, non_blocking=True)
        as_tuple = tuple(lengths.tolist())
        return cls(as_tuple, positions.to(device, non_blocking=True), select, tuple(counts.tolist()))

    def queries(self, *, selected: bool) -> tuple[int, ...]:
        """Query rows of each sequence: all of its positions, or the selected ones."""
        return self.selected_lengths if selected else self.lengths

    @cached_property
    def holds(self) -> Tensor:
        """True where a padded row holds a position; bool, shape (n, longest)."""
        return self._on_device(_holds(self.lengths))

    @cached_property
    def places(self) -> Tensor:
        """Place of each token among the padded rows; int64, shape (n_tokens,)."""
        return self._on_device(_holds(self.lengths).flatten().nonzero()[:, 0])

    @cached_property
    def places_selected(self) -> Tensor:
        """Place of each selected row among the padded rows of these; int64, shape (k,)."""
        return self._on_device(_holds(self.selected_lengths).flatten().nonzero()[:, 0])

    def _on_device(self, x: Tensor) -> Tensor:
        return x.to(self.positions.device, non_blocking=True)

    @cached_property
    def cumulative(self) -> Tensor:
        """Bounds of the sequences, int32, shape (n + 1,)."""
        return _bounds(self.lengths, self.positions.device)

    @cached_property
    def cumulative_selected(self) -> Tensor:
        """Bounds of the sequences among the selected rows, int32, shape (n + 1,)."""
        return _bounds(self.selected_lengths, self.positions.device)


def _holds(lengths: tuple[int, ...]) -> Tensor:
    """True where a padded row holds something; on the CPU, which knows the lengths. Shape (n, longest)."""
    return torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]


def _bounds(lengths: tuple[int, ...], device: torch.device) -> Tensor:
    return torch.tensor([0, *accumulate(lengths)], dtype=torch.int32, device=device)


@dataclass(frozen=True)
class Rotation:
    """Turns of the rotary embedding (Su et al. 2021) at each packed position.

    Features are in interleaved order: components 2i and 2i + 1 of a head turn together, by position · inv_freq[i].

    Attributes
    ----------
    places : Tensor of complex64, shape (longest, head_dim / 2)
        By how much each place in a sequence turns.
    positions : Tensor of int64, shape (n_tokens,)
        Place of each token.
    """

    places: Tensor
    positions: Tensor

    @classmethod
    def at(cls, positions: Tensor, inv_freq: Tensor, *, longest: int) -> "Rotation":
        """Turns at these positions, all below `longest`."""
        angles = torch.outer(torch.arange(longest, device=inv_freq.device, dtype=torch.float32), inv_freq.float())
        return cls(torch.polar(torch.ones_like(angles), angles), positions)

    def rows(self, select: Tensor) -> "Rotation":
        """Turns at the selected rows."""
        return Rotation(self.places, self.positions[select])

    @cached_property
    def turns(self) -> Tensor:
        """The turn of each row; complex64, shape (n_tokens, head_dim / 2)."""
        return self.places[self.positions]

    def __call__(self, x: Tensor) -> Tensor:
        """Turn `x` of shape (n, …, head_dim), in float32 whatever its type."""
        return _turned(x.float(), self.turns).to(x.dtype)


def interleaved(x: Tensor, n_heads: int) -> Tensor:
    """Rows of a query or key projection (d_model, …) from the order of facebookresearch/esm, which turns component i
    of a head together with i + head_dim / 2, to interleaved order. Queries and keys alike: their products stay."""
    return x.unflatten(0, (n_heads, 2, -1)).transpose(1, 2).flatten(0, 2)


def attend(
    q: Tensor | None, kv: Tensor, rotation: Rotation, layout: PackedLayout, *, kernel: str | None = None
) -> Tensor:
    """Attention of every query to all positions of its own sequence.

    Parameters
    ----------
    q : Tensor, shape (k, n_heads, head_dim), or None
        Queries at `layout.select`; None: the first of the three parts of `kv` are the queries, at all positions.
    kv : Tensor, shape (n_tokens, 2 or 3, n_heads, head_dim)
        Keys and values, behind queries if `q` is None. Queries and keys are not turned yet.
    rotation : Rotation
    layout : PackedLayout
    kernel : {"cpu", "varlen", "padded"}, optional
        The default is the best for type and device.

    Returns
    -------
    Tensor
        Shape (k or n_tokens, n_heads · head_dim).
    """
    kernel = kernel or _best_kernel(kv)
    if kernel == "cpu":
        from .cpu_attention.function import (
            CPUAttention,  # here, since it imports the compiler, which a GPU does not need
        )

        return CPUAttention.apply(q, kv, rotation, layout)
    selected = q is not None
    if q is not None and not q.shape[0]:
        return q.flatten(1) + 0 * kv.sum()  # a share without predicted positions: keys and values get gradients of 0
    if q is None:
        q, kv = kv[:, 0], kv[:, 1:]
    turned = rotation.rows(layout.select) if selected and layout.select is not None else rotation
    q, k, v = turned(q), rotation(kv[:, 0]), kv[:, 1]
    return (_varlen if kernel == "varlen" else _padded)(q, k, v, layout, selected=selected).flatten(1)


def _best_kernel(kv: Tensor) -> str:
    if kv.device.type == "cpu" and kv.dtype == torch.float32:
        return "cpu"
    half = kv.dtype in (torch.bfloat16, torch.float16)
    return "varlen" if kv.is_cuda and half and varlen_kernel() is not None else "padded"


def spare_features(head_dim: int, *, device: str, dtype: torch.dtype) -> int:
    """Features of zeros behind each head, with which a fused kernel takes it.

    torch's memory-efficient kernel takes heads of multiples of 4 features in float32 and of 8 in half precision from
    compute capability 8.0 on (`minimum_gemm_alignment` in torch's `sdp_utils.cpp`), its flash kernel multiples of 8.

    Parameters
    ----------
    head_dim : int
        Features of a head.
    device : str
        Type of the device: "cuda", "cpu".
    dtype : torch.dtype
        Type of queries, keys and values.

    Returns
    -------
    int
        0 where any number is taken: on other devices, and in double precision, for which there is no fused kernel.
    """
    alignment = {torch.float32: 4, torch.bfloat16: 8, torch.float16: 8}.get(dtype, 1) if device == "cuda" else 1
    return -head_dim % alignment


def _varlen(q: Tensor, k: Tensor, v: Tensor, layout: PackedLayout, *, selected: bool) -> Tensor:
    head_dim = q.shape[-1]
    spare = spare_features(head_dim, device="cuda", dtype=q.dtype)  # zero columns change no product
    q, k, v = (functional.pad(x, (0, spare)) for x in (q, k, v))
    longest = max(layout.lengths)
    kernel = varlen_kernel()
    assert kernel is not None
    mixed = kernel(
        q,
        k,
        v,
        layout.cumulative_selected if selected else layout.cumulative,
        layout.cumulative,
        max(layout.queries(selected=selected)),
        longest,
        scale=head_dim**-0.5,
    )
    assert isinstance(mixed, Tensor)
    return mixed[..., :head_dim]


def _padded(q: Tensor, k: Tensor, v: Tensor, layout: PackedLayout, *, selected: bool) -> Tensor:
    """The reference. Nothing in it waits for a GPU: where rows lie is computed once a layout, on the CPU."""
    head_dim = q.shape[-1]
    spare = spare_features(head_dim, device=q.device.type, dtype=q.dtype)
    q, k, v = (functional.pad(x, (0, spare)) if spare else x for x in (q, k, v))
    places_q, n = layout.places_selected if selected else layout.places, len(layout.lengths)
    wide_q = _in_rows(q, places_q, n, max(layout.queries(selected=selected)))
    wide_k, wide_v = (_in_rows(x, layout.places, n, max(layout.lengths)) for x in (k, v))
    mask = layout.holds[:, None, None, :]
    scale = head_dim**-0.5 if spare else None
    mixed = functional.scaled_dot_product_attention(wide_q, wide_k, wide_v, attn_mask=mask, scale=scale)
    return mixed.transpose(1, 2).flatten(0, 1).index_select(0, places_q)[..., :head_dim]


def _in_rows(x: Tensor, places: Tensor, n: int, longest: int) -> Tensor:
    """Packed `x` (k, n_heads, head_dim) in padded rows of zeros: (n, n_heads, longest, head_dim)."""
    # Of index_put autograd keeps the places alone, of index_copy also what is copied.
    rows = x.new_zeros(n * longest, *x.shape[1:]).index_put((places,), x)
    return rows.unflatten(0, (n, longest)).transpose(1, 2)


def _pairs(x: Tensor) -> Tensor:
    """View of `x` (…, head_dim) as complex numbers (…, head_dim / 2)."""
    return torch.view_as_complex(x.unflatten(-1, (x.shape[-1] // 2, 2)))


def _turned(x: Tensor, turns: Tensor) -> Tensor:
    """`x` of shape (n, …, head_dim) with row i turned by turns[i]."""
    pairs = _pairs(x)
    return torch.view_as_real(pairs * _along_rows(turns, pairs)).flatten(-2)


def _along_rows(turns: Tensor, pairs: Tensor) -> Tensor:
    return turns.view(turns.shape[0], *([1] * (pairs.ndim - 2)), turns.shape[1])
