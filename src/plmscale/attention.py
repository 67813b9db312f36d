"""Self-attention with rotary positions over packed sequences: no position is spent on padding.

Tokens of all sequences of a micro-batch lie one after the other. Three kernels compute the same function:

`per_sequence`  CPU: torch's fused CPU kernel, sequence by sequence; equal lengths that are neighbours go together.
`varlen`        CUDA, half precision: torch's variable-length flash attention.
`padded`        everything else, and the reference: rows are padded for the attention alone.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, groupby
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

try:
    from torch.nn.attention.varlen import varlen_attn
except ImportError:  # before torch 2.10
    varlen_attn = None

_FLASH = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_FLASH_BACKWARD = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


@dataclass(frozen=True)
class Layout:
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
    def of(cls, lengths: Tensor, select: Tensor | None, *, device: torch.device) -> "Layout":
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
    def cumulative(self) -> Tensor:
        """Bounds of the sequences, int32, shape (n + 1,)."""
        return _bounds(self.lengths, self.positions.device)

    @cached_property
    def cumulative_selected(self) -> Tensor:
        """Bounds of the sequences among the selected rows, int32, shape (n + 1,)."""
        return _bounds(self.selected_lengths, self.positions.device)


def _bounds(lengths: tuple[int, ...], device: torch.device) -> Tensor:
    return torch.tensor([0, *accumulate(lengths)], dtype=torch.int32, device=device)


@dataclass(frozen=True)
class Rotation:
    """Turns of the rotary embedding (Su et al. 2021) at each packed position.

    Features are in interleaved order: components 2i and 2i + 1 of a head turn together, by position · inv_freq[i].

    Attributes
    ----------
    turns : Tensor of complex64, shape (n_tokens, head_dim / 2)
    """

    turns: Tensor

    @classmethod
    def at(cls, positions: Tensor, inv_freq: Tensor, *, longest: int) -> "Rotation":
        """Turns at these positions, all below `longest`."""
        angles = torch.outer(torch.arange(longest, device=inv_freq.device, dtype=torch.float32), inv_freq.float())
        return cls(torch.polar(torch.ones_like(angles), angles)[positions])

    def rows(self, select: Tensor) -> "Rotation":
        """Turns at the selected rows."""
        return Rotation(self.turns[select])

    def __call__(self, x: Tensor) -> Tensor:
        """Turn `x` of shape (n, …, head_dim), in float32 whatever its type."""
        return _turned(x.float(), self.turns).to(x.dtype)


def interleaved(x: Tensor, n_heads: int) -> Tensor:
    """Rows of a query or key projection (d_model, …) from the order of facebookresearch/esm, which turns component i
    of a head together with i + head_dim / 2, to interleaved order. Queries and keys alike: their products stay."""
    return x.unflatten(0, (n_heads, 2, -1)).transpose(1, 2).flatten(0, 2)


def attend(q: Tensor | None, kv: Tensor, rotation: Rotation, layout: Layout, *, kernel: str | None = None) -> Tensor:
    """Attention of every query to all positions of its own sequence.

    Parameters
    ----------
    q : Tensor, shape (k, n_heads, head_dim), or None
        Queries at `layout.select`; None: the first of the three parts of `kv` are the queries, at all positions.
    kv : Tensor, shape (n_tokens, 2 or 3, n_heads, head_dim)
        Keys and values, behind queries if `q` is None. Queries and keys are not turned yet.
    rotation : Rotation
    layout : Layout
    kernel : {"per_sequence", "varlen", "padded"}, optional
        The default is the best for type and device.

    Returns
    -------
    Tensor
        Shape (k or n_tokens, n_heads · head_dim).
    """
    kernel = kernel or _best_kernel(kv)
    if kernel == "per_sequence":
        return _PerSequence.apply(q, kv, rotation, layout)
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
        return "per_sequence"
    half = kv.dtype in (torch.bfloat16, torch.float16)
    return "varlen" if kv.is_cuda and half and varlen_attn is not None else "padded"


def _varlen(q: Tensor, k: Tensor, v: Tensor, layout: Layout, *, selected: bool) -> Tensor:
    head_dim = q.shape[-1]
    spare = -head_dim % 8  # flash kernels take multiples of 8; zero columns change no product
    q, k, v = (functional.pad(x, (0, spare)) for x in (q, k, v))
    longest = max(layout.lengths)
    assert varlen_attn is not None
    mixed = varlen_attn(
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


def _padded(q: Tensor, k: Tensor, v: Tensor, layout: Layout, *, selected: bool) -> Tensor:
    rows_q, rows_k = _filled(layout.queries(selected=selected), q.device), _filled(layout.lengths, q.device)
    wide_q, wide_k, wide_v = (
        x.new_zeros(*rows.shape, *x.shape[1:]).masked_scatter(rows[..., None, None], x).transpose(1, 2)
        for x, rows in ((q, rows_q), (k, rows_k), (v, rows_k))
    )
    mixed = functional.scaled_dot_product_attention(wide_q, wide_k, wide_v, attn_mask=rows_k[:, None, None, :])
    return mixed.transpose(1, 2)[rows_q]


def _filled(lengths: tuple[int, ...], device: torch.device) -> Tensor:
    """True where a padded row holds something; shape (n, longest)."""
    return torch.arange(max(lengths), device=device) < torch.tensor(lengths, device=device)[:, None]


class _PerSequence(torch.autograd.Function):
    """Turn queries and keys, attend sequence by sequence; gradients are written where the projection wants them.

    Written by hand because autograd would return the gradient of every slice as a tensor of the whole's size.
    """

    @staticmethod
    def forward(ctx: Any, q: Tensor | None, kv: Tensor, rotation: Rotation, layout: Layout) -> Tensor:
        selected = q is not None
        turned = _turned(kv[:, :-1], rotation.turns)
        queries, key = turned[:, 0], turned[:, -1]
        if selected:
            queries = _turned(q, rotation.turns[layout.select])
        mixed, sums = kv.new_empty(queries.shape), []
        for rows, columns in _groups(layout, selected=selected):
            out, logsumexp = _FLASH(
                *(_heads_first(x, c) for x, c in ((queries, rows), (key, columns), (kv[:, -1], columns)))
            )
            _heads_first(mixed, rows).copy_(out)
            sums.append(logsumexp)
        ctx.save_for_backward(queries, key, kv, mixed, rotation.turns, *sums)
        ctx.layout, ctx.selected = layout, selected
        return mixed.flatten(1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor, None, None]:  # type: ignore[override]  (Function leaves it open)
        queries, key, kv, mixed, turns, *sums = ctx.saved_tensors
        layout, selected = ctx.layout, ctx.selected
        # The kernel is not called for sequences without a query: their keys and values have gradients of 0.
        d_kv = torch.empty_like(kv) if all(layout.queries(selected=selected)) else torch.zeros_like(kv)
        d_q = torch.empty_like(queries) if selected else d_kv[:, 0]
        targets = (d_q, d_kv[:, -2], d_kv[:, -1])
        grad = grad.view(mixed.shape)
        for (rows, columns), logsumexp in zip(_groups(layout, selected=selected), sums, strict=True):
            of_rows = [_heads_first(x, rows) for x in (grad, queries, mixed)]
            of_columns = [_heads_first(x, columns) for x in (key, kv[:, -1])]
            parts = _FLASH_BACKWARD(of_rows[0], of_rows[1], *of_columns, of_rows[2], logsumexp, 0.0, False)
            for target, where, part in zip(targets, (rows, columns, columns), parts, strict=True):
                _heads_first(target, where).copy_(part)
        back = turns.conj().resolve_conj()
        _turn_in_place(d_kv[:, :-1], back)
        if selected:
            _turn_in_place(d_q, back[layout.select])
        return d_q if selected else None, d_kv, None, None


def _pairs(x: Tensor) -> Tensor:
    """View of `x` (…, head_dim) as complex numbers (…, head_dim / 2)."""
    return torch.view_as_complex(x.unflatten(-1, (x.shape[-1] // 2, 2)))


def _turned(x: Tensor, turns: Tensor) -> Tensor:
    """`x` of shape (n, …, head_dim) with row i turned by turns[i]."""
    pairs = _pairs(x)
    return torch.view_as_real(pairs * _along_rows(turns, pairs)).flatten(-2)


def _turn_in_place(x: Tensor, turns: Tensor) -> None:
    pairs = _pairs(x)
    pairs.mul_(_along_rows(turns, pairs))


def _along_rows(turns: Tensor, pairs: Tensor) -> Tensor:
    return turns.view(turns.shape[0], *([1] * (pairs.ndim - 2)), turns.shape[1])


@dataclass(frozen=True)
class _Rows:
    """`n` neighbouring sequences of `length` rows, from row `start` on."""

    start: int
    n: int
    length: int


def _groups(layout: Layout, *, selected: bool) -> list[tuple[_Rows, _Rows]]:
    """Query and key rows of what one call of the kernel computes."""
    pairs = zip(layout.queries(selected=selected), layout.lengths, strict=True)
    groups, row, column = [], 0, 0
    for (n_rows, n_columns), members in groupby(pairs):
        n = sum(1 for _ in members)
        if n_rows:
            groups.append((_Rows(row, n, n_rows), _Rows(column, n, n_columns)))
        row, column = row + n * n_rows, column + n * n_columns
    return groups


def _heads_first(x: Tensor, rows: _Rows) -> Tensor:
    """View of shape (n, n_heads, length, head_dim) of these rows of `x` (rows, n_heads, head_dim)."""
    return x[rows.start : rows.start + rows.n * rows.length].unflatten(0, (rows.n, rows.length)).transpose(1, 2)
