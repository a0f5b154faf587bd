"""ReMamber-lite: frozen backbone → blocks of VSS layers and a twisting layer → decoder → mask.

    sentence ─► words ─► text encoder ─► tokens, sentence ─┐
    picture ─► backbone ─┬─ deep ─► stem ─► block 1 ─► block 2 ─► … ─┐
                         │    └─► grounding (nouns) ─┴───────────────┤ every block's output
                         └─ fine ────────────────────────────────► decoder ─► logits

As published, the blocks see pixels and shrink the map from stage to stage; here they work on
features at stride 16.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from hmnet_lite.data.emoji.dataset import TRAIN_STYLES
from hmnet_lite.data.emoji.referring.grammar import COLOURS
from hmnet_lite.data.emoji.referring.words import CHANNELS, MOST, Words, table
from hmnet_lite.mamba.blocks import SelfMambaBlock
from hmnet_lite.mamba.config import MixerConfig
from hmnet_lite.models.backbones import BACKBONES, Features
from hmnet_lite.models.checks import check_images
from hmnet_lite.models.decoder import Decoder
from hmnet_lite.models.remamba.config import ReMamberConfig
from hmnet_lite.models.remamba.grounding import EVERY, Grounding
from hmnet_lite.models.remamba.prototypes import Prototypes
from hmnet_lite.models.remamba.relations import Relations, places_of
from hmnet_lite.models.remamba.rivals import fusion
from hmnet_lite.models.remamba.styles import Styles
from hmnet_lite.models.remamba.text import TextEncoder
from hmnet_lite.models.remamba.twister import ROLES
from hmnet_lite.record import begin_block, record, record_block


class Block(nn.Module):
    """VSS layers (self Mamba blocks), then the layer that hears the text."""

    def __init__(self, config: ReMamberConfig, depth: int):
        super().__init__()
        own = MixerConfig(config.dim, depth=1, state=config.state, backend=config.backend)
        self.vss = nn.ModuleList(SelfMambaBlock(own, unread=True) for _ in range(depth))
        for layer in self.vss:  # a VSS layer has one map: no half for a support
            for part in ("in_support", "conv_support", "out_support", "mlp_support"):
                delattr(layer, part)
        self.relations = Relations(config.dim) if config.relations else None
        self.fusion = fusion(config, MOST)

    def forward(self, visual: Tensor, tokens: Tensor, sentence: Tensor, grounded: Tensor,
                read: Tensor | None = None, style: Tensor | None = None) -> Tensor:  # fmt: skip
        """(batch, dim, h, w) → the same; arguments as `Cube`'s and `Relations`'."""
        x = rearrange(visual, "b c h w -> b h w c")
        for layer in self.vss:
            x, _ = layer(x, None)
        visual = rearrange(x, "b h w c -> b c h w")
        if self.relations is not None:
            visual = visual + self.relations(visual, sentence, read, style)
        begin_block()  # the layer that hears the text is one of its own to who listens
        return self.fusion(visual, tokens, sentence, grounded)


class ReMamber(nn.Module):
    """Segmentation of what a sentence names, over frozen features.

    Args:
        config: a `ReMamberConfig`.
    """

    def __init__(self, config: ReMamberConfig | None = None):
        super().__init__()
        self.config = config = config or ReMamberConfig()
        self.words = Words()
        self.backbone = BACKBONES[config.backbone]()
        deep, dim = self.backbone.deep_channels, config.dim
        self.text = TextEncoder(dim, config.text_depth)
        others = torch.stack(list(table().values()))[::EVERY] if config.local_scaling else None
        colours = len(COLOURS) * config.colours
        if config.prototypes:
            self.grounding = Prototypes(deep, CHANNELS, colours)
        else:
            self.grounding = Grounding(deep, CHANNELS, colours, others)
        of = torch.tensor([1 + COLOURS.index(w) if w in COLOURS else 0 for w in self.words.grammar])
        self.register_buffer("colour_of", of, persistent=False)  # grammar word → which colour
        self.reading = self.styles = None
        if config.relations:
            self.reading = nn.Linear(dim, 2)  # is a noun the thing, is it what the thing is next to
            self.styles = Styles(deep, self.backbone.fine_channels, len(TRAIN_STYLES))
        self.stem = nn.Sequential(nn.Conv2d(deep + 2, dim, 1), nn.GroupNorm(8, dim))
        self.blocks = nn.ModuleList(Block(config, depth) for depth in config.depths)
        self.collect = nn.Conv2d(dim * len(config.depths), dim, 1)
        self.role = nn.Linear(dim, ROLES)
        self.decoder = Decoder(dim, self.backbone.fine_channels, ROLES)

    def forward(self, images: Tensor, sentences: Sequence[str]) -> Tensor:
        """Segment what each sentence names in its picture.

        Args:
            images: (batch, 3, height, width), float in [0, 1], sides multiples of 16.
            sentences: as many.

        Returns:
            logits (batch, 2, height, width): background, foreground.

        Raises:
            TypeError, ValueError: what was given, what was expected, the mend.
        """
        weight = self.collect.weight
        check_images("images", images, 4, self.backbone.stride, weight.device)
        if isinstance(sentences, str) or len(sentences) != len(images):
            given = "one string" if isinstance(sentences, str) else f"{len(sentences)} sentences"
            raise ValueError(f"{given} for {len(images)} pictures; expected a list with one each")
        numbers, vectors = zip(*(self.words(text) for text in sentences), strict=True)
        told = (torch.stack(x).to(weight.device) for x in (numbers, vectors))
        logits = self.segment(self.backbone(images.to(weight.dtype)), *told)
        return F.interpolate(logits, images.shape[-2:], mode="bilinear", align_corners=False)

    def segment(
        self, picture: Features, numbers: Tensor, vectors: Tensor, part: Tensor | None = None
    ) -> Tensor:
        """The trained part, on features (which training caches).

        Args:
            picture: `Features`, (batch, channels, h, w) and (batch, channels, 2h, 2w).
            numbers, vectors: of the tokens, as `Words` gives them, stacked.
            part: (batch,) int64: base classes that the grounding leaves out, see there. Where it is
                not 0 the text encoder is not told the nouns either: the class is as good as new.

        Returns:
            logits (batch, 2, 2h, 2w) at stride 8.

        Hands over to a `Recorder`: grounded, tokens, and each block's cube.
        """
        heard = vectors if part is None else vectors * (part == 0)[:, None, None]
        tokens, sentence = self.text(numbers, heard)
        colours = self.colour_of[numbers] if self.config.colours else None
        grounded = self.grounding(picture.deep, vectors, part, colours) * self.config.grounding
        record(grounded=grounded, tokens=tokens)
        read = style = None
        if self.reading is not None:
            read = torch.einsum("blhw,blr->brhw", grounded, torch.sigmoid(self.reading(tokens)))
            style = self.styles(picture)
        x = self.stem(torch.cat([picture.deep, places_of(picture.deep)], dim=1))
        outputs = []
        for block in self.blocks:
            x = block(x, tokens, sentence, grounded, read, style)
            record_block(visual=x)
            outputs.append(x)
        mixed = self.collect(torch.cat(outputs, dim=1))
        roles = torch.einsum("blhw,blr->brhw", grounded, torch.sigmoid(self.role(tokens)))
        return self.decoder(F.relu(mixed), picture.fine, roles)
