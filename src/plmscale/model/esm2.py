"""The ESM-2 encoder (Lin et al. 2023), with the module names of facebookresearch/esm.

Weights are interchangeable with `esm.model.esm2.ESM2` of fair-esm 2.0.0, whose contact head this encoder leaves out.
Differences are in how the same function is computed: sequences packed without padding, one product for queries, keys
and values, attention without a stored s × s matrix, and a last block and language-model head that are evaluated
only where they are needed.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..study.settings import InitialWeights
from .architecture import OURS, EncoderShape, Vocabulary
from .attention import PackedLayout, Rotation, attend, interleaved
from .initial_weights import initialise
from .width_scaling import STANDARD, WidthScaling

TRAINED_MASK_RATIO = 0.15 * 0.8
"""Share of positions that are MASK in training: token dropout rescales embeddings by it (fair-esm, esm2.py)."""


def scale(x: Tensor, factor: float) -> Tensor:
    """`x` times `factor`; `x` itself for 1."""
    return x if factor == 1 else x * factor


class RotaryEmbedding(nn.Module):
    """Frequencies of the rotary position embedding (Su et al. 2021), under the name that fair-esm gives them."""

    inv_freq: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("inv_freq", 1.0 / (10000 ** (torch.arange(0, dim, 2).float() / dim)))


class MultiheadAttention(nn.Module):
    """Self-attention with rotary embeddings, whose queries are multiplied by `query_scale`."""

    def __init__(self, d_model: int, n_heads: int, *, query_scale: float) -> None:
        super().__init__()
        self.query_scale = query_scale
        self.n_heads, self.head_dim = n_heads, d_model // n_heads
        self.k_proj, self.v_proj, self.q_proj, self.out_proj = (nn.Linear(d_model, d_model) for _ in range(4))
        self.rot_emb = RotaryEmbedding(self.head_dim)

    def project(self, x: Tensor, select: Tensor | None) -> tuple[Tensor | None, Tensor]:
        """Queries, keys and values of packed `x` (n_tokens, d_model), as `attend` takes them."""
        scaled = (scale(self.q_proj.weight, self.query_scale), scale(self.q_proj.bias, self.query_scale))
        queries = (interleaved(scaled[0], self.n_heads), interleaved(scaled[1], self.n_heads))
        keys = (interleaved(self.k_proj.weight, self.n_heads), interleaved(self.k_proj.bias, self.n_heads))
        values = (self.v_proj.weight, self.v_proj.bias)
        if select is None:
            return None, self._project(x, queries, keys, values)
        return self._project(x[select], queries)[:, 0], self._project(x, keys, values)

    def _project(self, x: Tensor, *parts: tuple[Tensor, Tensor]) -> Tensor:
        """Several projections as one product: (n, len(parts), n_heads, head_dim)."""
        weights, biases = (torch.cat(p) for p in zip(*parts, strict=True))
        return functional.linear(x, weights, biases).view(x.shape[0], len(parts), self.n_heads, self.head_dim)


class TransformerLayer(nn.Module):
    """Pre-norm transformer block."""

    def __init__(self, size: EncoderShape, *, query_scale: float) -> None:
        super().__init__()
        self.self_attn = MultiheadAttention(size.d_model, size.n_heads, query_scale=query_scale)
        self.self_attn_layer_norm = nn.LayerNorm(size.d_model)
        self.fc1 = nn.Linear(size.d_model, size.d_ffn)
        self.fc2 = nn.Linear(size.d_ffn, size.d_model)
        self.final_layer_norm = nn.LayerNorm(size.d_model)

    def forward(self, x: Tensor, rotation: Rotation, layout: PackedLayout, *, select: Tensor | None = None) -> Tensor:
        """The block on packed `x` (n_tokens, d_model), or its rows at `select`, which is `layout.select`, exactly.

        Every row attends to all others, but nothing else mixes rows: in the last block, where only the rows to be
        predicted matter, queries, output projection and feed-forward net need not see the rest.
        """
        mixed = attend(*self.before(x, select), rotation, layout)
        return self.after(x if select is None else x[select], mixed)

    def before(self, x: Tensor, select: Tensor | None) -> tuple[Tensor | None, Tensor]:
        """What comes before the attention."""
        return self.self_attn.project(self.self_attn_layer_norm(x), select)

    def after(self, x: Tensor, mixed: Tensor) -> Tensor:
        """What comes after the attention."""
        x = x + self.self_attn.out_proj(mixed)
        return x + self.fc2(functional.gelu(self.fc1(self.final_layer_norm(x))))

    def compile_parts(self) -> None:
        """Let torch compile what is before and after the attention, for any number of tokens."""
        self.before = torch.compile(self.before, dynamic=True)
        self.after = torch.compile(self.after, dynamic=True)


class RobertaLMHead(nn.Module):
    """Language-model head whose output weights are the embedding's, and see features times `output_scale`."""

    def __init__(self, d_model: int, weight: Tensor, *, output_scale: float) -> None:
        super().__init__()
        self.output_scale = output_scale
        self.dense = nn.Linear(d_model, d_model)
        self.layer_norm = nn.LayerNorm(d_model)
        self.weight = weight
        self.bias = nn.Parameter(torch.zeros(len(weight)))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (..., vocabulary) of `x` (..., d_model)."""
        norm = self.layer_norm
        gain, shift = scale(norm.weight, self.output_scale), scale(norm.bias, self.output_scale)
        x = functional.layer_norm(functional.gelu(self.dense(x)), norm.normalized_shape, gain, shift, norm.eps)
        return functional.linear(x, self.weight, self.bias)


class ESM2(nn.Module):
    """ESM-2, by default with the 29-token alphabet.

    Parameters
    ----------
    size : EncoderShape
        For example a `ModelSize`.
    seed : int or None
        Seed of the initial weights. None leaves torch's own.
    initial_weights : {"bert", "fan_in", "fair_esm"}
        What they are drawn from (`plmscale.model.initial_weights.initialise`).
    vocabulary : Vocabulary
        Tokens; `ESM1B` for published checkpoints.
    scaling : WidthScaling
        Multipliers of the parametrization.
    """

    def __init__(
        self,
        size: EncoderShape,
        *,
        seed: int | None,
        initial_weights: InitialWeights = "bert",
        vocabulary: Vocabulary = OURS,
        scaling: WidthScaling = STANDARD,
    ) -> None:
        super().__init__()
        self._pad, self._mask = vocabulary.pad, vocabulary.mask
        self.embed_tokens = nn.Embedding(len(vocabulary), size.d_model, padding_idx=self._pad)
        self.layers = nn.ModuleList(TransformerLayer(size, query_scale=scaling.query) for _ in range(size.n_layers))
        self.emb_layer_norm_after = nn.LayerNorm(size.d_model)
        self.lm_head = RobertaLMHead(size.d_model, self.embed_tokens.weight, output_scale=scaling.output)
        if seed is not None:
            draws = {"n_layers": size.n_layers, "pad": self._pad, "width": scaling.width}
            initialise(self, choice=initial_weights, seed=seed, **draws)

    def forward(self, tokens: Tensor, select: Tensor | None = None, *, lengths: Tensor | None = None) -> Tensor:
        """Logits.

        Parameters
        ----------
        tokens : Tensor of int, shape (n_tokens,) or (batch, length)
            Token ids of sequences one after the other, or, without `lengths`, one a row with PAD behind it.
        select : Tensor of int, shape (k,), optional
            Ascending flat positions in `tokens` at which logits are wanted; not those of PAD.
        lengths : Tensor of int64 on the CPU, shape (n_sequences,), optional
            Positions of each packed sequence, START and END included.

        Returns
        -------
        Tensor
            Shape (k, vocabulary) with `select`, else that of `tokens` and the vocabulary; 0 at PAD.
        """
        if lengths is not None:
            return self._packed(tokens, select, lengths)
        present = tokens != self._pad
        if select is not None:
            select = present.flatten().cumsum(0)[select] - 1
        logits = self._packed(tokens[present], select, present.sum(-1).cpu())
        if select is not None:
            return logits
        return logits.new_zeros(*tokens.shape, logits.shape[-1]).masked_scatter(present[..., None], logits)

    def _packed(self, tokens: Tensor, select: Tensor | None, lengths: Tensor) -> Tensor:
        layout = PackedLayout.of(lengths, select, device=tokens.device)
        x = self._embed(tokens, lengths.to(tokens.device))
        rotation = Rotation.at(layout.positions, self._inv_freq, longest=int(lengths.max()))
        last = len(self.layers) - 1
        for i, layer in enumerate(self.layers):
            x = layer(x, rotation, layout, select=layout.select if i == last else None)
        return self.lm_head(self.emb_layer_norm_after(x))

    def compile_blocks(self) -> None:
        """Let torch compile the blocks; the attention between them is a fused kernel already."""
        for layer in self._blocks:
            layer.compile_parts()

    @property
    def _blocks(self) -> list[TransformerLayer]:
        return [layer for layer in self.layers if isinstance(layer, TransformerLayer)]

    @property
    def _inv_freq(self) -> Tensor:
        """Rotary frequencies; they are the same in every layer."""
        return self._blocks[0].self_attn.rot_emb.inv_freq

    def _embed(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """Embeddings with token dropout: MASK is the zero vector and the rest is rescaled to make up for it."""
        masked = tokens == self._mask
        observed = functional.pad(masked.cumsum(0), (1, 0))[functional.pad(lengths.cumsum(0), (1, 0))].diff() / lengths
        scale = (1 - TRAINED_MASK_RATIO) / (1 - observed)
        keep = ~masked * scale.repeat_interleave(lengths, output_size=tokens.numel())
        return self.embed_tokens(tokens) * keep[:, None]
