"""The ESM-2 encoder (Lin et al. 2023), with the module names of facebookresearch/esm.

Weights are interchangeable with `esm.model.esm2.ESM2` of fair-esm 2.0.0, whose contact head this encoder leaves out.
Differences are in how the same function is computed: one product for queries, keys and values, fused attention without
a stored s × s matrix, and a language-model head that is evaluated only where it is needed.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from .alphabet import MASK, PAD
from .config import ModelSize
from .grid import VOCABULARY_SIZE

TRAINED_MASK_RATIO = 0.15 * 0.8
"""Share of positions that are MASK in training: token dropout rescales embeddings by it (fair-esm, esm2.py)."""

INITIAL_SD = 0.02
"""Standard deviation of initial weights (BERT; `initializer_range` of the published ESM-2 configurations)."""


class RotaryEmbedding(nn.Module):
    """Rotary position embedding (Su et al. 2021) of queries and keys."""

    inv_freq: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("inv_freq", 1.0 / (10000 ** (torch.arange(0, dim, 2).float() / dim)))

    def tables(self, length: int) -> tuple[Tensor, Tensor]:
        """Cosine and sine, each of shape (length, dim)."""
        angles = torch.outer(
            torch.arange(length, device=self.inv_freq.device, dtype=self.inv_freq.dtype), self.inv_freq
        )
        angles = torch.cat((angles, angles), dim=-1)
        return angles.cos(), angles.sin()


def rotate(x: Tensor, tables: tuple[Tensor, Tensor]) -> Tensor:
    """Turn `x` (..., length, dim) by its position."""
    cos, sin = tables
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin


class MultiheadAttention(nn.Module):
    """Self-attention with rotary embeddings."""

    def __init__(self, d_model: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.k_proj, self.v_proj, self.q_proj, self.out_proj = (nn.Linear(d_model, d_model) for _ in range(4))
        self.rot_emb = RotaryEmbedding(d_model // n_heads)

    def forward(
        self, x: Tensor, tables: tuple[Tensor, Tensor], attend: Tensor | None, select: Tensor | None = None
    ) -> Tensor:
        """Attention over `x` (batch, length, d_model); `attend` (batch, 1, 1, length) is True where there is a token.

        With `select` (k,), flat positions, only these rows are projected out: shape (k, d_model).
        """
        batch, length, d_model = x.shape
        weight = torch.cat((self.q_proj.weight, self.k_proj.weight, self.v_proj.weight))
        bias = torch.cat((self.q_proj.bias, self.k_proj.bias, self.v_proj.bias))
        qkv = functional.linear(x, weight, bias).view(batch, length, 3, self.n_heads, d_model // self.n_heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        q, k = rotate(q, tables), rotate(k, tables)
        mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=attend)
        mixed = mixed.transpose(1, 2).reshape(batch, length, d_model)
        return self.out_proj(mixed if select is None else mixed.flatten(0, 1)[select])


class TransformerLayer(nn.Module):
    """Pre-norm transformer block."""

    def __init__(self, size: ModelSize) -> None:
        super().__init__()
        self.self_attn = MultiheadAttention(size.d_model, size.n_heads)
        self.self_attn_layer_norm = nn.LayerNorm(size.d_model)
        self.fc1 = nn.Linear(size.d_model, size.d_ffn)
        self.fc2 = nn.Linear(size.d_ffn, size.d_model)
        self.final_layer_norm = nn.LayerNorm(size.d_model)

    def forward(
        self, x: Tensor, tables: tuple[Tensor, Tensor], attend: Tensor | None, select: Tensor | None = None
    ) -> Tensor:
        """The block on `x` (batch, length, d_model); with `select` (k,) its rows at these flat positions, exactly.

        Every row attends to all others, but nothing after the attention mixes rows: in the last block, where only the
        rows to be predicted matter, the output projection and the feed-forward net need not see the rest.
        """
        mixed = self.self_attn(self.self_attn_layer_norm(x), tables, attend, select)
        x = (x if select is None else x.flatten(0, 1)[select]) + mixed
        return x + self.fc2(functional.gelu(self.fc1(self.final_layer_norm(x))))


class RobertaLMHead(nn.Module):
    """Language-model head whose output weights are the embedding's."""

    def __init__(self, d_model: int, weight: Tensor) -> None:
        super().__init__()
        self.dense = nn.Linear(d_model, d_model)
        self.layer_norm = nn.LayerNorm(d_model)
        self.weight = weight
        self.bias = nn.Parameter(torch.zeros(VOCABULARY_SIZE))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (..., vocabulary) of `x` (..., d_model)."""
        return functional.linear(self.layer_norm(functional.gelu(self.dense(x))), self.weight, self.bias)


class ESM2(nn.Module):
    """ESM-2 with the 29-token alphabet.

    Parameters
    ----------
    size : ModelSize
    seed : int or None
        Seed of the initial weights: normal with standard deviation 0.02, biases 0. None leaves torch's own.
    """

    def __init__(self, size: ModelSize, *, seed: int | None) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(VOCABULARY_SIZE, size.d_model, padding_idx=PAD)
        self.layers = nn.ModuleList(TransformerLayer(size) for _ in range(size.n_layers))
        self.emb_layer_norm_after = nn.LayerNorm(size.d_model)
        self.lm_head = RobertaLMHead(size.d_model, self.embed_tokens.weight)
        if seed is not None:
            self._initialise(seed)

    def _initialise(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for module in self.modules():
                if isinstance(module, nn.Linear):
                    module.weight.normal_(std=INITIAL_SD, generator=generator)
                    module.bias.zero_()
            self.embed_tokens.weight.normal_(std=INITIAL_SD, generator=generator)
            self.embed_tokens.weight[PAD] = 0

    def forward(self, tokens: Tensor, select: Tensor | None = None) -> Tensor:
        """Logits.

        Parameters
        ----------
        tokens : Tensor of int, shape (batch, length)
            Token ids, padded with PAD.
        select : Tensor of int, shape (k,), optional
            Flat positions (row · length + column) at which logits are wanted.

        Returns
        -------
        Tensor
            Shape (batch, length, vocabulary), or (k, vocabulary) with `select`.
        """
        present = tokens != PAD
        x = self._embed(tokens, present)
        attend = None if bool(present.all()) else present[:, None, None, :]
        cos, sin = self._rotary.tables(tokens.shape[1])
        tables = (cos.to(x.dtype), sin.to(x.dtype))
        last = len(self.layers) - 1
        for i, layer in enumerate(self.layers):
            x = layer(x, tables, attend, select if i == last else None)
        return self.lm_head(self.emb_layer_norm_after(x))

    @property
    def _rotary(self) -> RotaryEmbedding:
        """The rotary embedding; it is the same in every layer."""
        layer = self.layers[0]
        assert isinstance(layer, TransformerLayer)
        return layer.self_attn.rot_emb

    def _embed(self, tokens: Tensor, present: Tensor) -> Tensor:
        """Embeddings with token dropout: MASK is the zero vector and the rest is rescaled to make up for it."""
        masked = tokens == MASK
        observed = masked.sum(-1) / present.sum(-1)
        scale = (1 - TRAINED_MASK_RATIO) / (1 - observed)
        keep = (present & ~masked) * scale[:, None]
        embedded = self.embed_tokens(tokens)
        return embedded * keep[..., None].to(embedded.dtype)
