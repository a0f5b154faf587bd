"""Every arm of the experiments, as data.

An arm is one network trained one way; its runs are its seeds times its folds. Arms have the names
of what they are, so that experiments (see `suite`) share them: what two show is trained once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from hmnet_lite.models.lite import HMNetConfig
from hmnet_lite.training.config import TrainConfig
from hmnet_lite.training.recipes import EPISODES

SEEDS = (0, 1, 2, 3, 4)
FEWER = (0, 1, 2)  # of the experiments that vary one number


@dataclass(frozen=True)
class Arm:
    """One network, trained one way.

    Attributes:
        name: of its files, in lower case with dashes.
        config: the network.
        train: how it is trained; its seed is replaced by each of `seeds`.
        seeds: of the training runs.
        folds: whose classes are novel.
        episodes: how many training episodes are drawn; their scenes are paired anew for ever.
        after: the arm whose network of the same fold and seed it goes on from; None: from scratch.
        fixed: whether the episodes stay those that were drawn, round after round.
        hide: in which episodes the shortcuts are hidden, as `hmnet_lite.training.hiding`; None: in
            none.
    """

    name: str
    config: HMNetConfig
    train: TrainConfig
    seeds: tuple[int, ...] = SEEDS
    folds: tuple[int, ...] = (0,)
    episodes: int = EPISODES
    after: str | None = None
    fixed: bool = False
    hide: str | None = None


ALONE = TrainConfig(steps=2000)  # the support by the state alone settles earlier
BESIDE = TrainConfig(steps=3000)
MIXERS = {
    "cross": ("concatenation", dict(srm="basic", qim="off")),
    "srm": ("SRM recap", dict(srm="recap", qim="off")),
    "qim": ("QIM", dict(srm="off", qim="shared")),
    "both": ("SRM + QIM", dict(srm="recap", qim="shared")),
}
SHORTCUTS = {
    "state": ("by the state alone", dict(prototype=False, prior="none")),
    "prototype": ("beside the prototype", dict(prototype=True, prior="none")),
    "prior": ("beside the prior", dict(prototype=False, prior="both")),
    "shortcuts": ("beside both", dict(prototype=True, prior="both")),
}
#: a network whose support reaches the query by the state alone; the shortcuts are put back singly
STATE = HMNetConfig(
    prototype=False, prior="none", zoom=True, start="matching", recap_ratio=2,
    detach_support_state=False,
)  # fmt: skip
NETWORK = HMNetConfig()  # with both shortcuts, as the paper's
CONTROLS = {"convolution": "convolution", "MLP": "mlp", "attention": "attention"}
#: arm to the steps it makes while SRM + QIM makes its 2,000: figures/experiments/step_times.json
EQUAL_TIME = {
    "state-cross": 1510, "state-attention": 1730, "state-convolution": 1850, "state-mlp": 3040,
    "shortcuts-base-long": 4240, "shortcuts-attention": 1690,
}  # fmt: skip


def _arms() -> dict[str, Arm]:
    arms = []
    for where, (_, open_) in SHORTCUTS.items():
        for mixer, (_, switches) in MIXERS.items():
            arms.append(Arm(f"{where}-{mixer}", replace(STATE, **open_, **switches), ALONE))

    late = replace(STATE, **SHORTCUTS["shortcuts"][1], **MIXERS["both"][1])
    arms.append(Arm("shortcuts-late", late, ALONE, FEWER, after="state-both"))
    for mixer in ("twister", "attention"):
        rival = replace(late, mixer=mixer)
        arms.append(Arm(f"shortcuts-{mixer}", rival, ALONE, FEWER))
        arms.append(Arm(f"shortcuts-{mixer}-late", rival, ALONE, FEWER, after=f"state-{mixer}"))
    finer = replace(late, recap_ratio=4, support_ratio=1)
    arms.append(Arm("shortcuts-finer-late", finer, ALONE, FEWER, after="state-recap-4-support-1"))
    matched = replace(late, prior="all")
    arms.append(Arm("shortcuts-mixed", matched, ALONE, FEWER))
    arms.append(Arm("shortcuts-mixed-base", replace(matched, depth=0), ALONE, FEWER))
    arms.append(Arm("shortcuts-base", replace(late, depth=0), ALONE, FEWER))
    for name, scale in (("softer", 0.1), ("louder", 10.0)):
        arms.append(Arm(f"shortcuts-{name}", replace(late, prior_scale=scale), ALONE, FEWER))
    for name, switches in (
        ("silent", dict(start="silent")),
        ("size-64", dict(state=64)),
        ("depth-6", dict(depth=6)),
        ("generated", dict(generated=True)),
    ):
        arms.append(Arm(f"shortcuts-{name}", replace(late, **switches), ALONE, FEWER))
    for name, how in (("hidden-half", "half"), ("fading", "fading"), ("both-ways", "twice")):
        arms.append(Arm(f"shortcuts-{name}", late, ALONE, FEWER, hide=how))
    twice = TrainConfig(steps=2 * ALONE.steps)
    arms.append(Arm("shortcuts-long", late, twice, FEWER))
    arms.append(Arm("shortcuts-base-long", replace(late, depth=0), twice, FEWER))

    def state(name: str, seeds: tuple[int, ...] = FEWER, **switches) -> None:
        arms.append(Arm(f"state-{name}", replace(STATE, **switches), ALONE, seeds))

    def network(name: str, folds: tuple[int, ...] = (0,), **switches) -> None:
        arms.append(Arm(f"network-{name}", replace(NETWORK, **switches), BESIDE, folds=folds))

    every = (0, 1, 2, 3)
    network("base", every, depth=0)
    network("self-blocks", srm="off", qim="off")
    network("srm-basic", srm="basic", qim="off")
    network("srm-recap", srm="recap", qim="off")
    network("qim-own", srm="off", qim="own")
    network("qim-shared", srm="off", qim="shared")
    network("srm-qim", every)
    network("srm-qim-gradient", detach_support_state=False)
    for control in CONTROLS.values():
        network(control, mixer=control)
        state(control, SEEDS, mixer=control)
    state("twister", SEEDS, mixer="twister")
    state("mixed", prior="mixed")
    state("mixed-blocks", prior="mixed", srm="off", qim="off")
    state("mixed-base", prior="mixed", depth=0)
    state("mixed-finer", prior="mixed", recap_ratio=4, support_ratio=1)
    for ratio in (1, 4, 8):
        state(f"alpha-{ratio}", recap_ratio=ratio)
    state("detached", detach_support_state=True)
    state("qim-detached", detach_support_state=True, srm="off")
    state("qim-own", qim="own")
    state("qim-each", qim="each")
    state("qim-full", qim_ratio=1)
    for directions in (1, 2):
        state(f"directions-{directions}", directions=directions)
    for size in (4, 64):
        state(f"size-{size}", state=size)
    for depth in (4, 6):
        state(f"depth-{depth}", depth=depth)
    recap_alone = dict(srm="recap", qim="off")
    for kind in ("reset", "add"):
        state(f"srm-{kind}", **recap_alone, recap=kind)
    for patches, support in ((4, 2), (2, 4), (8, 2), (4, 1), (8, 1)):
        state(f"recap-{patches}-support-{support}", recap_ratio=patches, support_ratio=support)
    state("srm-generated", **recap_alone, generated=True)
    state("generated", generated=True)
    state("cross-one-way", srm="basic", qim="off", directions=1)
    state("srm-one-way", **recap_alone, directions=1)
    state("silent", start="silent")
    state("whole-support", zoom=False)
    named = {arm.name: arm for arm in arms}
    for name, steps in EQUAL_TIME.items():
        timed = f"{name}-timed"
        named[timed] = replace(named[name], name=timed, train=TrainConfig(steps=steps), seeds=FEWER)
    for name in ("shortcuts-both", "shortcuts-base-long-timed"):
        few = f"fixed-{name.removeprefix('shortcuts-')}"
        named[few] = replace(named[name], name=few, seeds=FEWER, episodes=1000, fixed=True)
    return named


#: name to arm
ARMS: dict[str, Arm] = _arms()
