"""The switches of DiffewS: sizes, and every arm of the paper's comparisons."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from hmnet_lite.models.backbones import BACKBONES

Latents = Literal["features", "pixels"]
Interaction = Literal["kv", "qkv", "tokens"]
Injection = Literal[
    "concatenation", "multiplication-rgb", "multiplication-latent", "attention-mask", "addition"
]
Guess = Literal["matched", "metric", "none"]
MaskImage = Literal["white", "real-on-black", "black-on-real", "added"]
Generation = Literal["one-step", "image-to-mask", "noise-to-mask"]
Threshold = Literal["relative", "absolute"]
SupportKeys = Literal["all", "sampled"]
TIMES = 1000  # steps of the noise schedule


@dataclass(frozen=True)
class DiffewSConfig:
    """What decides a `DiffewS`.

    Attributes:
        latents: what a picture is encoded to, at stride 16: "features", of a frozen backbone,
            through a fixed linear map; "pixels", a small autoencoder that sees pixels alone, at
            half the picture's size.
        channels: of the latents.
        blocks: channels of the UNet at each of its sizes; multiples of 16.
        layers: residual blocks at each size.
        heads: of the attention.
        tokens: channels of what the cross-attention hears.
        interaction: how the query hears the supports: "kv", its queries against the keys and values
            of both; "qkv", the supports ask the query as well; "tokens", cross-attention.
        injection: how the supports' masks come in.
        guess: "matched": in one step, the query comes with a first guess of its mask, copied from
            the supports by the latents' likeness; "metric": by that of the backbone's features in
            HMNet-lite's metric, which plays down how objects of one class differ; "none": as
            published.
        mask_image: how the query's mask is drawn as the picture that is to be generated.
        generation: "one-step" or, in many steps, from the picture or from noise to the mask.
        sampling_steps: of the last two.
        timestep: that the UNet is told where one step does it all.
        threshold: of the generated picture, "relative" to its brightest pixel, or "absolute".
        level: of the threshold, in [0, 1].
        support_keys: that a query listens to, "all", or "sampled": as many as one support has.
        backbone: a name in `hmnet_lite.models.backbones.BACKBONES`, for latents of features.

    Raises:
        ValueError: a size or a switch that is not as above.
    """

    latents: Latents = "features"
    channels: int = 64
    blocks: tuple[int, ...] = (48, 64)
    layers: int = 1
    heads: int = 4
    tokens: int = 32
    interaction: Interaction = "kv"
    injection: Injection = "concatenation"
    guess: Guess = "matched"
    mask_image: MaskImage = "white"
    generation: Generation = "one-step"
    sampling_steps: int = 10
    timestep: int = 1
    threshold: Threshold = "relative"
    level: float = 0.25
    support_keys: SupportKeys = "all"
    backbone: str = "efficientnet_lite0"

    def __post_init__(self) -> None:
        object.__setattr__(self, "blocks", tuple(self.blocks))
        if not self.blocks or any(not isinstance(n, int) or n < 16 or n % 16 for n in self.blocks):
            raise ValueError(f"blocks={self.blocks}; expected multiples of 16, one for each size")
        for name, low, high in (("channels", 1, 1024), ("layers", 1, 8), ("heads", 1, 64),
                                ("tokens", 1, 4096), ("sampling_steps", 1, TIMES),
                                ("timestep", 0, TIMES - 1), ("level", 0, 1)):  # fmt: skip
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name}={value}; expected {low} to {high}")
        if any(n % self.heads for n in self.blocks):
            raise ValueError(
                f"blocks={self.blocks} cannot be shared equally by heads={self.heads}; expected "
                "multiples of it"
            )
        known = dict(
            latents=get_args(Latents), interaction=get_args(Interaction),
            injection=get_args(Injection), guess=get_args(Guess), mask_image=get_args(MaskImage),
            generation=get_args(Generation), threshold=get_args(Threshold),
            support_keys=get_args(SupportKeys), backbone=tuple(BACKBONES),
        )  # fmt: skip
        for name, words in known.items():
            if getattr(self, name) not in words:
                raise ValueError(f"{name}={getattr(self, name)!r}; expected one of {words}")
        if self.guess == "metric" and self.latents != "features":
            raise ValueError(
                f"guess='metric' compares a backbone's features, which latents={self.latents!r} "
                "have none of; expected guess='matched' or 'none'"
            )
        if self.interaction == "tokens" and self.injection == "attention-mask":
            raise ValueError(
                "injection='attention-mask' hides keys of the supports in the self-attention, "
                "where interaction='tokens' has none; expected another injection"
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for checkpoints and reports."""
        return asdict(self) | {"blocks": list(self.blocks)}
