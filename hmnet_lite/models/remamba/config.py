"""The switches of ReMamber: sizes, and every arm of the paper's comparisons."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from hmnet_lite.models.backbones import BACKBONES
from hmnet_lite.scan.backends import BACKENDS

Fusion = Literal["twister", "attention", "in-context", "norm", "srm", "qim", "srm-qim"]
Scans = Literal["channel-spatial", "spatial-channel", "parallel", "channel", "spatial"]


@dataclass(frozen=True)
class ReMamberConfig:
    """What decides a `ReMamber`.

    Attributes:
        dim: channels of each of the cube's three parts; a multiple of 16.
        depths: VSS layers of each block before its twisting layer; the paper's are 2, 2, 15, 2.
        inner: channels of the spatial scan inside the twisting layer.
        state: size of each channel's state.
        token_side: a channel's map is pooled to this square before the channel scan.
        fusion: how a block hears the text: "twister"; "attention", pixels look at the tokens;
            "in-context", tokens are read before the pixels; "norm", scale and shift from the text;
            "srm", "qim", "srm-qim": as HMNet's query hears its support.
        recap_ratio: α of those three: tokens are read before each of α × α patches.
        scans: of the twister, which and in which order.
        global_text, local_text: whether these parts of the cube are there.
        permuted: the cube's channels in a random order.
        grounding: whether nouns are also compared with the picture by `Grounding`.
        local_scaling: whether a noun's cosine is counted against a pixel's nearest words.
        colours: whether colours' names are compared with the picture, too.
        prototypes: whether nouns are looked for by `Prototypes`, in the place of `Grounding`.
        relations: whether blocks are told where pixels lie to what the nouns name (`Relations`).
        text_depth: layers of the text encoder.
        backbone: a name in `hmnet_lite.models.backbones.BACKBONES`.
        backend: see `hmnet_lite.selective_scan`.

    Raises:
        ValueError: a size or a switch that is not as above.
    """

    dim: int = 48
    depths: tuple[int, ...] = (1, 1)
    inner: int = 64
    state: int = 8
    token_side: int = 8
    fusion: Fusion = "twister"
    recap_ratio: int = 2
    scans: Scans = "channel-spatial"
    global_text: bool = True
    local_text: bool = True
    permuted: bool = False
    grounding: bool = True
    local_scaling: bool = False
    colours: bool = False
    prototypes: bool = False
    relations: bool = False
    text_depth: int = 2
    backbone: str = "efficientnet_lite0"
    backend: str = "auto"

    def __post_init__(self) -> None:
        object.__setattr__(self, "depths", tuple(self.depths))
        if self.dim < 16 or self.dim % 16:
            raise ValueError(f"dim={self.dim}; expected a positive multiple of 16")
        if not self.depths or any(not isinstance(n, int) or n < 0 for n in self.depths):
            raise ValueError(f"depths={self.depths}; expected a number of layers for each block")
        for name, low, high in (("inner", 1, None), ("state", 1, None), ("token_side", 1, 16),
                                ("recap_ratio", 1, 64), ("text_depth", 0, None)):  # fmt: skip
            value = getattr(self, name)
            if value < low or (high is not None and value > high):
                limit = f"at least {low}" if high is None else f"{low} to {high}"
                raise ValueError(f"{name}={value}; expected {limit}")
        if self.prototypes and self.local_scaling:
            raise ValueError("prototypes and local_scaling; expected one of them or neither")
        known = dict(fusion=get_args(Fusion), scans=get_args(Scans), backbone=tuple(BACKBONES),
                     backend=("auto", *BACKENDS))  # fmt: skip
        for name, words in known.items():
            if getattr(self, name) not in words:
                raise ValueError(f"{name}={getattr(self, name)!r}; expected one of {words}")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for checkpoints and reports."""
        return asdict(self) | {"depths": list(self.depths)}
