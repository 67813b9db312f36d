"""The README.md of an exported model: what its record says, and how to load it."""

from collections.abc import Mapping
from typing import Any

from ..sequences.alphabet import RESIDUES
from ..study.flops import count_params
from ..study.grid import Cell

_CARD = """---
library_name: transformers
pipeline_tag: fill-mask
tags:
- esm
- protein
---

# {title}

A protein language model: an ESM-2 encoder trained by masked-language modelling with plmscale, which implements the
study of [Serrano, Ciudad and Molina 2024](https://arxiv.org/abs/2406.07249).

| | |
|---|---|
{rows}

```python
from transformers import EsmForMaskedLM, EsmTokenizer

tokenizer = EsmTokenizer.from_pretrained(".")
model = EsmForMaskedLM.from_pretrained(".").eval()
inputs = tokenizer(["MKTAYIAKQR<mask>ISFVK"], return_tensors="pt")
logits = model(**inputs).logits
```

- Write residues in upper case, and X for unknown ones. The letters are {letters}; any other letter, J among them, is
  read as X, and several of them in a row as a single X. X counts as a special token of the tokenizer, so that
  `skip_special_tokens=True` leaves it out in decoding.
- Give the model the attention mask when sequences are padded: token dropout rescales embeddings by a sequence's length.
- The contact head has not been trained: its weights are zero.
- The weights carry no licence until whoever publishes them gives them one.
"""


def model_card(record: dict[str, Any]) -> str:
    """Text of the model card.

    Parameters
    ----------
    record : dict
        What run.json holds.
    """
    table = "\n".join(f"| {name} | {value} |" for name, value in facts(record).items() if value)
    return _CARD.format(title=Cell.from_json(record["cell"]).path, rows=table, letters=RESIDUES)


def facts(record: Mapping[str, Any]) -> dict[str, str]:
    """What a model card says of a run, by what it is called there; empty where nothing is known.

    Parameters
    ----------
    record : mapping
        What run.json holds.
    """
    cell, holdout = Cell.from_json(record["cell"]), record.get("holdout") or {}
    size, training = cell.model, cell.training
    return {
        "parameters": f"{count_params(size):,} (embeddings and head counted, biases and norms not)",
        "shape": f"{size.n_layers} layers, width {size.d_model}, feed-forward {size.d_ffn}, {size.n_heads} heads",
        "vocabulary": "29 tokens",
        "training set": f"{cell.subset}: {record['unique_tokens']:,} tokens",
        "tokens seen": f"{record['n_tokens']:,} in {record['n_steps']:,} steps of at most {training.batch_tokens:,}",
        "longest input": f"{cell.max_length} positions, START and END included",
        "learning rate": f"{size.learning_rate:g}, schedule {cell.schedule}",
        "precision": training.precision,
        "seed": str(cell.seed),
        "holdout": _holdout(holdout),
        "versions": ", ".join(f"{k} {v}" for k, v in (record.get("versions") or {}).items() if v),
    }


def _holdout(holdout: Mapping[str, Any]) -> str:
    if holdout.get("loss") is None:
        return ""
    text = f"loss {holdout['loss']:.4f} nats per masked residue, perplexity {holdout['perplexity']:.3f}"
    if holdout.get("loss_low") is not None:
        text += f" (95 % interval of the loss {holdout['loss_low']:.4f} to {holdout['loss_high']:.4f})"
    return text
