"""The switches of hybrid Mamba, typed once: all that is built of its blocks passes them on."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, Self, get_args

from hmnet_lite.maps import DIRECTIONS
from hmnet_lite.scan.backends import BACKENDS

Srm = Literal["recap", "basic", "off"]
Qim = Literal["shared", "own", "each", "off"]
Recap = Literal["affine", "reset", "add"]
Shots = Literal["features", "states", "recaps"]
Directions = Literal[1, 2, 4]
#: what a network of this kind can be built with, far beyond what any has had
SIZES = {"dim": (1, 16_384), "depth": (0, 1_024), "state": (1, 1_024), "recap_ratio": (1, 1_024)}


@dataclass(frozen=True)
class MixerConfig:
    """What decides a `MambaMixer`.

    Attributes:
        dim: channels of both maps.
        depth: number of blocks; even blocks (0, 2, …) are self, odd ones hybrid; 0 mixes nothing.
        state: size of each channel's state.
        recap_ratio: α: the query is cut in α × α patches, the support is read α times smaller. No
            side of the map may be shorter.
        support_ratio: how many times smaller SRM's recaps read the support, where it is not to be
            α; None: α, as the paper's. Ours, to ask which of the two it is that matters: both do,
            and 1 with an α of 4 gained where the state is the only way (notebook 09).
        qim_ratio: how many times smaller QIM reads the query, where it is not to be α; None: α, as
            the paper's; 1: at full size. Ours, to ask what it costs to look closely.
        recap: what a recap keeps of the state it meets: "affine", the P of the support it reads,
            as the paper's; "reset", nothing, so every patch begins at H_S; "add", all. The last
            two are ours, to ask what a recap does.
        pool_shots: how several supports become one: "features" are averaged before the mixer, as
            the paper's; or the mixer reads each, and their "states" are averaged, or their
            "recaps" composed, one support after the other: affine maps, so K of them are one. Ours.
        generated: whether the mean of the support's map shifts the Δ, B and C with which SRM's scan
            reads the query, by a linear map that is zero at first: one reading of what the paper's
            appendix E leaves to the future. Ours.
        detach_support_state: no gradient from QIM into the support state, as released.
        published_skip: QIM's skip uses the single number D[0, 0] for every channel, as released:
            parity needs it. Mamba has one D a channel; the paper's equations have none.
        srm: "recap" reads the support before every patch, "basic" once before the whole query
            (cross Mamba by concatenation, both at full size); "off": the query scans itself.
        qim: every pixel meets the mean of the directions' states: "shared" with direction 0's
            parameters, "own" with its own; or "each" direction's state with that direction's, and
            the mean is taken after (ours); "off" leaves QIM out. With srm and qim both off nothing
            of the support could reach the query, and all blocks are self blocks.
        directions: traversals read: rows (1); rows and columns (2); and both reversed (4).
        backend: see `hmnet_lite.selective_scan`.

    Raises:
        ValueError: a size or a switch that is not as above.
    """

    dim: int = 32
    depth: int = 2
    state: int = 16
    recap_ratio: int = 4
    support_ratio: int | None = None
    qim_ratio: int | None = None
    recap: Recap = "affine"
    pool_shots: Shots = "features"
    generated: bool = False
    detach_support_state: bool = True
    published_skip: bool = False
    srm: Srm = "recap"
    qim: Qim = "shared"
    directions: Directions = DIRECTIONS
    backend: str = "auto"

    def __post_init__(self) -> None:
        for name, (least, most) in SIZES.items():
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name}={getattr(self, name)}; expected {least} to {most:,}")
        for name in ("support_ratio", "qim_ratio"):
            ratio = getattr(self, name)
            if ratio is not None and not 1 <= ratio <= 1_024:
                raise ValueError(f"{name}={ratio}; expected 1 to 1,024, or None: α")
        choices = dict(srm=get_args(Srm), qim=get_args(Qim), directions=get_args(Directions),
                       recap=get_args(Recap), pool_shots=get_args(Shots))  # fmt: skip
        for name, known in (choices | dict(backend=("auto", *BACKENDS))).items():
            if getattr(self, name) not in known:
                raise ValueError(f"{name}={getattr(self, name)!r}; expected one of {known}")
        if self.generated and not self.mixes:
            raise ValueError(
                "generated=True with srm='off' and qim='off': no block reads the support, so "
                "nothing can be generated from it; expected one of the two on, or generated=False"
            )

    @classmethod
    def of(cls, given: MixerConfig | int, **options: Any) -> MixerConfig:
        """A config as it is, or one made of a dim and switches by name."""
        if isinstance(given, MixerConfig):
            if options:
                raise TypeError(f"a config and {', '.join(options)}: put all into the config")
            return given
        return cls(given, **options)

    @property
    def mixes(self) -> bool:
        """Whether anything of the support can reach the query."""
        return self.srm != "off" or self.qim != "off"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for checkpoints and reports."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Inverse of `to_dict`; a field that is missing has its default.

        Raises:
            ValueError: an unknown field, or a value that the config refuses.
        """
        unknown = sorted(set(values) - set(cls.__dataclass_fields__))
        if unknown:
            raise ValueError(
                f"{cls.__name__} has no field {', '.join(unknown)}; it has "
                f"{', '.join(cls.__dataclass_fields__)}. Mend: a newer hmnet_lite may know it"
            )
        return cls(**values)
