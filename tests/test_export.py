"""Exported runs load in the libraries they are for, and checkpoints that cannot be read say why."""

import json
import re
import subprocess
import sys
from argparse import Namespace

import numpy as np
import pytest
import torch
from esm.pretrained import load_model_and_alphabet
from safetensors.torch import load_file, save_file

from checkpoints_data import (
    LETTERS,
    encoded,
    fair_model,
    hugging_face_model,
    our_model,
    proteins,
    save_fair,
    save_hugging_face,
    save_run,
)
from conftest import ROOT
from plmscale.errors import InputError
from plmscale.model.encoders import read_run, read_weights
from plmscale.model.export import export
from plmscale.sequences.alphabet import END, PAD, START, TOKENS
from plmscale.sequences.store import Store, build_store

LENGTHS = (40, 17, 3, 700)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return save_run(our_model(3), tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def texts():
    """Sequences with masked positions, as a user would type them."""
    rng = np.random.default_rng(5)
    return ["".join("<mask>" if rng.random() < 0.2 else c for c in s) for s in proteins(*LENGTHS, seed=4)]


@pytest.fixture(scope="module")
def expected(run, texts):
    """Our own encoder's logits on each text, one at a time."""
    model = read_run(run)[0].encoder()
    with torch.no_grad():
        return [model(torch.tensor([tokens_of(text)]))[0] for text in texts]


def tokens_of(text: str) -> list[int]:
    return [START, *(TOKENS.index(t) for t in re.findall("<mask>|.", text)), END]


@pytest.fixture(scope="module")
def folder(run, tmp_path_factory):
    out = tmp_path_factory.mktemp("hf") / "tiny"
    export(run, out, kind="huggingface")
    return out


@pytest.fixture(scope="module")
def hugging_face(folder):
    from transformers import EsmForMaskedLM, EsmTokenizer

    model, info = EsmForMaskedLM.from_pretrained(folder, output_loading_info=True)
    return model.eval(), EsmTokenizer.from_pretrained(folder), info


def test_transformers_computes_the_same_logits(hugging_face, texts, expected):
    model, tokenizer, info = hugging_face
    assert not any(info.values()), "every tensor is there, and none is too many"
    inputs = tokenizer(texts, return_tensors="pt", padding=True)
    with torch.no_grad():
        logits = model(**inputs).logits
    for row, text, own in zip(logits, texts, expected, strict=True):
        n = len(tokens_of(text))
        torch.testing.assert_close(row[:n], own, rtol=1e-5, atol=2e-5)


def test_transformers_tokenizes_as_the_store_does(hugging_face, tmp_path):
    _, tokenizer, _ = hugging_face
    build_store(ROOT / "resources/example/swissprot_20k.fasta.gz", tmp_path / "store")
    store = Store.open(tmp_path / "store")
    from plmscale.sequences.alphabet import decode

    for i in np.random.default_rng(0).choice(store.n_sequences, 100, replace=False):
        ids = store.sequence(i)
        assert tokenizer(decode(ids))["input_ids"] == [START, *ids.tolist(), END]
    assert tokenizer(LETTERS)["input_ids"] == [START, *encoded([LETTERS])[0].tolist(), END]
    assert tokenizer("MJK")["input_ids"][1:-1] == encoded(["MJK"])[0].tolist(), "J is read as X"
    assert (tokenizer.pad_token_id, tokenizer.mask_token_id) == (PAD, TOKENS.index("<mask>"))
    assert len(tokenizer) == len(TOKENS)


def test_the_folder_is_whole(folder):
    names = {p.name for p in folder.iterdir()}
    assert names == {
        "config.json",
        "model.safetensors",
        "vocab.txt",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "README.md",
    }
    card = (folder / "README.md").read_text()
    for fact in ("3 layers, width 32", "4,321 in 7 steps", "s: 5,000 tokens", "loss 2.5000", "2.2500 to 2.7500"):
        assert fact in card
    assert "{" not in card.partition("```")[0]
    assert not list(folder.parent.glob(".*"))


@pytest.mark.parametrize("batched", [False, True])
def test_fair_esm_loads_it_and_computes_the_same_logits(run, tmp_path, texts, expected, batched):
    out = tmp_path / "esm2_tiny.pt"
    export(run, out, kind="fair-esm")
    model, alphabet = load_model_and_alphabet(str(out))
    model.eval()
    ours = [alphabet.get_idx(token) for token in TOKENS]
    convert = alphabet.get_batch_converter()
    groups = [texts] if batched else [[text] for text in texts]
    rows = []
    for group in groups:
        tokens = convert([("x", text) for text in group])[2]
        with torch.no_grad():
            rows += list(model(tokens)["logits"])
    for row, own in zip(rows, expected, strict=True):
        row = row[: len(own)]
        torch.testing.assert_close(row[:, ours], own, rtol=1e-5, atol=2e-5)
        # Probabilities over 33 tokens are those over 29: what we lack has none.
        probabilities = row.softmax(-1)
        torch.testing.assert_close(probabilities[:, ours], own.softmax(-1), rtol=1e-4, atol=1e-6)
        others = [i for i in range(len(alphabet)) if i not in ours]
        assert len(others) == 4
        assert float(probabilities[:, others].max()) == 0


def test_what_fair_esm_reads_as_unknown_is_x(run, tmp_path):
    export(run, tmp_path / "esm2_tiny.pt", kind="fair-esm")
    model, alphabet = load_model_and_alphabet(str(tmp_path / "esm2_tiny.pt"))
    model.eval()
    with torch.no_grad():
        x, unknown = (
            model(torch.tensor([[0, *alphabet.encode(f"MK{letter}A"), 2]]))["logits"] for letter in ("X", "<unk>")
        )
    torch.testing.assert_close(x, unknown)


@pytest.mark.parametrize("kind", ["huggingface", "fair-esm"])
def test_exports_come_back(run, tmp_path, kind, texts, expected):
    out = tmp_path / ("back" if kind == "huggingface" else "esm2_back.pt")
    export(run, out, kind=kind)
    weights = read_weights(out)
    model, translate = weights.encoder(), weights.vocabulary.translation
    for text, own in zip(texts, expected, strict=True):
        with torch.no_grad():
            logits = model(torch.from_numpy(translate[tokens_of(text)])[None])[0]
        torch.testing.assert_close(logits[:, translate], own, rtol=1e-6, atol=1e-6)


def test_the_command_of_the_readme_writes_a_new_folder(run, tmp_path):
    words = [sys.executable, "-m", "plmscale", "export", "--run", str(run), "--format", "huggingface", "--out"]
    done = subprocess.run([*words, str(tmp_path / "out")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out/config.json").exists()
    before = {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()}
    with pytest.raises(InputError, match="exists already"):
        export(run, tmp_path / "out", kind="huggingface")
    assert {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()} == before


def test_a_failed_export_leaves_nothing(run, tmp_path, monkeypatch):
    def full_disk(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("plmscale.model.huggingface.json.dumps", full_disk)
    monkeypatch.setattr("plmscale.model.fair_esm.torch.save", full_disk)
    for kind, out in (("huggingface", tmp_path / "a"), ("fair-esm", tmp_path / "esm2_a.pt")):
        with pytest.raises(InputError, match="No space.*Make room"):
            export(run, out, kind=kind)
    assert not list(tmp_path.iterdir())


def test_a_name_that_fair_esm_would_take_for_esm1_is_refused(run, tmp_path):
    with pytest.raises(InputError, match="Call it esm2_"):
        export(run, tmp_path / "model.pt", kind="fair-esm")


def test_a_feed_forward_size_that_fair_esm_cannot_have_is_refused(run, tmp_path):
    record = json.loads((run / "run.json").read_text())
    record["cell"]["model"]["d_ffn"] = 96
    (tmp_path / "run.json").write_text(json.dumps(record))
    save_file(load_file(run / "model.safetensors"), tmp_path / "model.safetensors")
    with pytest.raises(InputError, match=r"d_ffn is 96.*4 × d_model = 128"):
        export(tmp_path, tmp_path / "esm2_x.pt", kind="fair-esm")
    with pytest.raises(InputError, match=r"layers.0.fc1.weight has shape \[128, 32\].*asks for \[96, 32\]"):
        export(tmp_path, tmp_path / "out", kind="huggingface")


def test_meta_s_layout_and_pytorch_model_bin_are_read(tmp_path):
    theirs = fair_model(1)
    model = read_weights(save_fair(theirs, tmp_path / "esm2_x.pt")).encoder()
    tokens = torch.tensor([[0, 5, 20, 32, 7, 2]])
    with torch.no_grad():
        torch.testing.assert_close(model(tokens), theirs(tokens)["logits"], rtol=1e-5, atol=2e-5)
    theirs = hugging_face_model(2)
    folder = save_hugging_face(theirs, tmp_path / "hf")
    (folder / "model.safetensors").unlink()
    published = {k: v for k, v in theirs.state_dict().items() if k != "esm.rotary_embeddings.inv_freq"}
    published["esm.embeddings.position_ids"] = torch.arange(1026)[None]
    for i in range(3):
        name = f"esm.encoder.layer.{i}.attention.self.rotary_embeddings.inv_freq"
        published[name] = theirs.state_dict()["esm.rotary_embeddings.inv_freq"]
    torch.save(published, folder / "pytorch_model.bin")
    with torch.no_grad():
        logits = read_weights(folder).encoder()(tokens)
        torch.testing.assert_close(logits, theirs(tokens).logits, rtol=1e-5, atol=2e-5)


def test_rotary_frequencies_are_the_checkpoint_s_own(tmp_path):
    """Large published checkpoints hold them rounded to half precision, and were trained so."""
    theirs = fair_model(1)
    for layer in theirs.layers:
        layer.self_attn.rot_emb.inv_freq.copy_(layer.self_attn.rot_emb.inv_freq.half() * 1.5)
    model = read_weights(save_fair(theirs, tmp_path / "esm2_x.pt")).encoder()
    tokens = torch.randint(4, 24, (1, 50), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(model(tokens), theirs(tokens)["logits"], rtol=1e-5, atol=2e-5)


class Harmful:
    """A pickle that would run a function when it is loaded."""

    def __reduce__(self):
        return print, ("harm",)


def bad_checkpoints(tmp_path):
    """What is wrong → a path to give, and what the message must say."""
    good = torch.load(save_fair(fair_model(), tmp_path / "good.pt"), weights_only=False)
    settings, state = good["cfg"]["model"], good["model"]

    def saved(name: str, content: object):
        torch.save(content, tmp_path / f"{name}.pt")
        return tmp_path / f"{name}.pt"

    wide = Namespace(**vars(settings) | {"encoder_embed_dim": 64})
    nan = state | {"encoder.lm_head.bias": torch.full((33,), torch.nan)}
    few = {k: v for k, v in state.items() if "lm_head" not in k}
    (tmp_path / "cut.pt").write_bytes((tmp_path / "good.pt").read_bytes()[:5000])
    (tmp_path / "empty").mkdir()
    untied = state | {"encoder.lm_head.weight": torch.zeros(33, 32)}
    odd = Namespace(**vars(settings) | {"encoder_attention_heads": 5})
    return {
        tmp_path / "absent": "does not exist",
        tmp_path / "empty": "without run.json or config.json",
        tmp_path / "cut.pt": "damaged or no checkpoint",
        saved("esm1b", {"args": Namespace(arch="roberta_large"), "model": state}): "roberta_large.*Only ESM-2",
        saved("harm", {"model": Harmful()}): "not a checkpoint of tensors",
        saved("text", "x"): "is not a checkpoint of fair-esm",
        saved(
            "wide", {"cfg": {"model": wide}, "model": state}
        ): r"embed_tokens.weight has shape \[33, 32\].*\[33, 64\]",
        saved("nan", {"cfg": {"model": settings}, "model": nan}): "lm_head.bias holds NaN",
        saved("few", {"cfg": {"model": settings}, "model": few}): "has no lm_head",
        saved("more", {"cfg": {"model": settings}, "model": state | {"x": torch.zeros(1)}}): "no ESM-2 has: x",
        saved("untied", {"cfg": {"model": settings}, "model": untied}): "differs from embed_tokens",
        saved("odd", {"cfg": {"model": odd}, "model": state}): "even multiple of n_heads",
        saved("bare", {"cfg": {"model": Namespace()}, "model": state}): "cfg.model lacks encoder_layers",
    }


def test_bad_checkpoints_say_what_is_wrong(tmp_path, capsys):
    for path, message in bad_checkpoints(tmp_path).items():
        with pytest.raises(InputError, match=message) as raised:
            read_weights(path).encoder()
        assert str(path) in str(raised.value)
    assert "harm" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"position_embedding_type": "absolute", "emb_layer_norm_before": True}, "'absolute'.*ESM-1b"),
        ({"model_type": "bert"}, "model_type is 'bert'"),
        ({"token_dropout": False}, "token_dropout is False"),
        ({"layer_norm_eps": 1e-12}, "layer_norm_eps is 1e-12"),
        ({"vocab_size": 30}, "vocab_size is 30, but .*vocab.txt says 29"),
        ({"mask_token_id": 5}, "mask_token_id is 5, not 28"),
        ({"hidden_size": None}, "hidden_size is missing"),
        ({"rope_theta": 500.0}, "rope_theta is 500.0"),
        ({"num_hidden_layers": 4}, "has no layers.3"),
    ],
)
def test_bad_folders_say_what_is_wrong(folder, tmp_path, changes, message):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | changes))
    with pytest.raises(InputError, match=message):
        read_weights(tmp_path).encoder()


def test_bad_runs_say_what_is_wrong(tmp_path):
    with pytest.raises(InputError, match="diverged .*the loss was inf"):
        read_weights(save_run(our_model(), tmp_path / "a", status="diverged", reason="the loss was inf at step 3"))
    with pytest.raises(InputError, match="its cell cannot be read"):
        read_weights(save_run(our_model(), tmp_path / "b", cell={"model": {}}))
    cut = save_run(our_model(), tmp_path / "c")
    (cut / "model.safetensors").write_bytes((cut / "model.safetensors").read_bytes()[:900])
    with pytest.raises(InputError, match=r"model.safetensors cannot be read"):
        read_weights(cut)
    (cut / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"model.safetensors does not exist"):
        read_weights(cut)
