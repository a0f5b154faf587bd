"""Every experiment as data: a question, what was expected before the run, and its arms."""

from __future__ import annotations

import difflib

from hmnet_lite.experiments.arms import ARMS, CONTROLS, EQUAL_TIME, MIXERS, SHORTCUTS, Arm
from hmnet_lite.experiments.experiment import Experiment
from hmnet_lite.experiments.inside import INSIDE


def _shortcut_experiments() -> list[Experiment]:
    predicted = {
        "state": "A wrong support costs much; reading the support "
        "again (recap) and at every pixel (QIM) beats reading it once, more so at a wide gap.",
        "prototype": "The prototype says most of what the state could: support use falls to a few "
        "points, and the four mixers score alike.",
        "prior": "The prior says nearly everything: support use is near zero, and the four mixers "
        "score alike.",
        "shortcuts": "As beside the prior: nobody needs the state.",
    }
    return [
        Experiment(
            f"listening-{where}",
            f"How much does each mixer carry of the support, {told}?",
            predicted[where],
            {label: f"{where}-{mixer}" for mixer, (label, _) in MIXERS.items()},
            "concatenation",
        )
        for where, (told, _) in SHORTCUTS.items()
    ]


def _trap(episodes: str, mamba: str, without: str) -> dict[str, str]:
    return {f"{episodes}, SRM + QIM": mamba, f"{episodes}, without Mamba": without}


def _timed(where: str, rivals: dict[str, str]) -> dict[str, str]:
    """The arms of rivals that are given equal time, under labels that say their steps."""
    arms = {label: f"{where}-{mixer}" for label, mixer in rivals.items()}
    return {f"{label}, {EQUAL_TIME[arm]:,} steps": f"{arm}-timed" for label, arm in arms.items()}


EXPERIMENTS: dict[str, Experiment] = {
    experiment.name: experiment
    for experiment in [
        *_shortcut_experiments(),
        Experiment(
            "state-first",
            "Is the state still listened to when it was learned first, and shortcuts come later?",
            "No: after as many steps with them its support use has fallen below two points, and "
            "the network scores what one scores that had them from the start.",
            {"shortcuts from the start": "shortcuts-both", "by the state alone": "state-both",
             "state first, shortcuts later": "shortcuts-late"},
            "shortcuts from the start",
        ),
        Experiment(
            "state-first-rivals",
            "Do the mixers that carry the most by the state alone stay ahead beside shortcuts?",
            "Barely: the twister is listened to more than SRM + QIM (15 points at cross), and "
            "scores within a point of it: the prior has said most of what either could add. With "
            "the shortcuts from the start it is not listened to. Attention (predicted when the "
            "twister had run): as the twister, and a point or two behind at cross, too. The finer "
            "recap (when all others had run): some points more of support use than SRM + QIM, and "
            "a point better at same, where it leads by five alone; elsewhere nothing seen.",
            {"SRM + QIM, state first": "shortcuts-late",
             "twister, state first": "shortcuts-twister-late",
             "twister, shortcuts from the start": "shortcuts-twister",
             "attention, state first": "shortcuts-attention-late",
             "finer recap, state first": "shortcuts-finer-late"},
            "SRM + QIM, state first",
        ),
        Experiment(
            "beside-rivals",
            "With both shortcuts from the start, is another mixer listened to, and does it pay?",
            "(That the twister is not stood above, before its runs; it is. This is written after "
            "two of them.) Attention is listened to by some points, too, and neither scores "
            "otherwise than SRM + QIM.",
            {"SRM + QIM": "shortcuts-both", "twister": "shortcuts-twister",
             "attention": "shortcuts-attention"},
            "SRM + QIM",
        ),
        Experiment(
            "made-to-count",
            "Does hiding the shortcuts in training make the state count, and does it pay?",
            "Hidden in half of the episodes, the state is learned for those and unheard in the "
            "others, as in a brief trial before; learned from both ways, likewise. Hidden less "
            "and less, it is listened to by some points, as after the state first. None scores "
            "more than with the shortcuts always there; hiding costs a point or two.",
            {"shortcuts from the start": "shortcuts-both",
             "hidden in half of the episodes": "shortcuts-hidden-half",
             "hidden less and less": "shortcuts-fading",
             "each episode both ways": "shortcuts-both-ways"},
            "shortcuts from the start",
        ),
        Experiment(
            "loudness",
            "Is the state heard beside a softer prior, or drowned by one as loud as the paper's?",
            "Neither: weights grow to what a softer prior lacks, and the state stays unheard "
            "beside all three. Ten times louder costs a point at a wide gap, for the decoder "
            "trusts the maps more; ten times softer costs nothing.",
            {"prior × 1": "shortcuts-both", "prior × 10, as released": "shortcuts-louder",
             "prior × 0.1": "shortcuts-softer"},
            "prior × 1",
        ),
        Experiment(
            "beside-otherwise",
            "Is a mixer that starts otherwise, or is larger, heard beside both shortcuts?",
            "None is, and none scores otherwise by more than a point. The silent start least of "
            "all: what adds nothing at first has nothing to say that the prior has not said.",
            {"SRM + QIM": "shortcuts-both",
             "silent start": "shortcuts-silent",
             "state 64": "shortcuts-size-64",
             "6 blocks": "shortcuts-depth-6",
             "generated Δ, B, C": "shortcuts-generated"},
            "SRM + QIM",
        ),
        Experiment(
            "mixed-prior",
            "Does a prior that is made of what the mixer puts out make the state count, and pay?",
            "It lifts the state alone by ten points at same and by three at held-out, for what is "
            "learned of base classes is worth less beside others; the frozen prior stays ahead by "
            "ten points and more. Most of the lift is the matching: without Mamba, and with blocks "
            "that read no support, it is within three points of SRM + QIM.",
            {"SRM + QIM, no prior": "state-both",
             "SRM + QIM, mixed prior": "state-mixed",
             "finer recap, mixed prior": "state-mixed-finer",
             "self blocks, mixed prior": "state-mixed-blocks",
             "without Mamba, mixed prior": "state-mixed-base",
             "SRM + QIM, frozen prior": "prior-both"},
            "SRM + QIM, no prior",
        ),
        Experiment(
            "mixed-beside",
            "Is a mixed prior, which is learned, worth anything beside both frozen shortcuts?",
            "A point at same, where its classes were seen in training, and nothing at held-out. "
            "Mamba adds nothing to it, here either.",
            {"without Mamba": "shortcuts-base",
             "SRM + QIM": "shortcuts-both",
             "without Mamba, mixed prior": "shortcuts-mixed-base",
             "SRM + QIM, mixed prior": "shortcuts-mixed"},
            "without Mamba",
        ),
        Experiment(
            "equal-steps",
            "Does learning the state first cost accuracy, when all have had as many steps?",
            "A point or two: half of the steps were spent without the shortcuts. Leaving Mamba "
            "out costs nothing.",
            {"shortcuts for all 4,000 steps": "shortcuts-long",
             "the same without Mamba": "shortcuts-base-long",
             "state for 2,000, then shortcuts": "shortcuts-late"},
            "shortcuts for all 4,000 steps",
        ),
        Experiment(
            "table-3",
            "The paper's Table 3: what does each part add, beside both shortcuts?",
            "Nothing beyond a point: the prior and the prototype have said it before the mixer.",
            {
                "without Mamba": "network-base",
                "+ self blocks": "network-self-blocks",
                "+ SRM, support read once": "network-srm-basic",
                "+ SRM, recap": "network-srm-recap",
                "+ QIM, own parameters": "network-qim-own",
                "+ QIM, shared parameters": "network-qim-shared",
                "+ SRM + QIM": "network-srm-qim",
                "+ SRM + QIM, gradient through H_S": "network-srm-qim-gradient",
            },
            "without Mamba",
        ),
        Experiment(
            "controls",
            "Is it Mamba, or any mixer of that size?",
            "Beside both shortcuts the four differ by less than a point.",
            {"SRM + QIM": "network-srm-qim"}
            | {label: f"network-{name}" for label, name in CONTROLS.items()},
            "SRM + QIM",
        ),
        Experiment(
            "controls-state",
            "Is it Mamba, where nothing else carries the support?",
            "Attention over the support's pixels is at least as good; a mean of the support "
            "(convolution, MLP) is a prototype and does well, too.",
            {"SRM + QIM": "state-both"}
            | {label: f"state-{name}" for label, name in CONTROLS.items()},
            "SRM + QIM",
        ),
        Experiment(
            "equal-time-state",
            "At equal time instead of equal steps, which mixer carries most by the state alone?",
            "Concatenation falls behind SRM + QIM by a point or two, for it makes fewer steps; "
            "attention loses a point of its lead and keeps the rest; convolution and MLP stay "
            "behind, MLP for all its steps.",
            {"SRM + QIM, 2,000 steps": "state-both"}
            | _timed("state", {"concatenation": "cross", **CONTROLS}),
            "SRM + QIM, 2,000 steps",
        ),
        Experiment(
            "equal-time-beside",
            "At equal time, does a mixer pay beside both shortcuts?",
            "No: without Mamba more than twice the steps fit, and they are worth a point.",
            {"SRM + QIM, 2,000 steps": "shortcuts-both"}
            | _timed("shortcuts", {"without Mamba": "base-long", "attention": "attention"}),
            "SRM + QIM, 2,000 steps",
        ),
        Experiment(
            "equal-time-trap",
            "On a thousand fixed episodes, does Mamba look like a gain, and on fresh ones?",
            "Yes: without Mamba the same time holds more than twice the rounds, 34 for 16, so more "
            "is learned by heart, and Mamba seems to gain two points or more where the gap is "
            "wide. On fresh pairs of scenes nothing is left of that.",
            _trap("fixed", "fixed-both", "fixed-base-long-timed")
            | _trap("fresh", "shortcuts-both", "shortcuts-base-long-timed"),
            "fixed, without Mamba",
        ),
        *INSIDE,
    ]
}  # fmt: skip


def find(name: str) -> list[Arm]:
    """The arms of an experiment's name, or the arm of an arm's.

    Raises:
        ValueError: neither has that name; the nearest is named.
    """
    if name in EXPERIMENTS:
        return [ARMS[arm] for arm in EXPERIMENTS[name].arms.values()]
    if name in ARMS:
        return [ARMS[name]]
    near = difflib.get_close_matches(name, [*EXPERIMENTS, *ARMS], n=1)
    guess = f" Did you mean {near[0]!r}?" if near else ""
    raise ValueError(
        f"no experiment or arm is called {name!r}.{guess} Experiments: "
        f"{', '.join(EXPERIMENTS)}; --list shows their arms"
    )
