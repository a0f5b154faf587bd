"""Every experiment as data: a question, what was expected before the run, and its arms."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field

from hmnet_lite.experiments.arms import ARMS, CONTROLS, EQUAL_TIME, MIXERS, SHORTCUTS, Arm


@dataclass(frozen=True)
class Experiment:
    """A question and the arms that answer it.

    Attributes:
        name: short, for the command line and tables.
        question: one sentence.
        prediction: what was expected before the run.
        arms: label in tables to the arm's name, in the order they are shown.
        against: the label that the others are compared with.
    """

    name: str
    question: str
    prediction: str
    arms: dict[str, str] = field(hash=False)
    against: str


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
            {"shortcuts always there": "shortcuts-both",
             "hidden in half of the episodes": "shortcuts-hidden-half",
             "hidden less and less": "shortcuts-fading",
             "each episode both ways": "shortcuts-both-ways"},
            "shortcuts always there",
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
            {"Mamba": "network-srm-qim"}
            | {label: f"network-{name}" for label, name in CONTROLS.items()},
            "Mamba",
        ),
        Experiment(
            "controls-state",
            "Is it Mamba, where nothing else carries the support?",
            "Attention over the support's pixels is at least as good; a mean of the support "
            "(convolution, MLP) is a prototype and does well, too.",
            {"Mamba": "state-both"}
            | {label: f"state-{name}" for label, name in CONTROLS.items()},
            "Mamba",
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
        Experiment(
            "fusion-state",
            "Does ReMamber's twister, made for words, carry a support, too?",
            "It listens, less well than SRM + QIM: the mean and an 8 × 8 support say much of a "
            "class, but a convolution over the support's places has to be learned for every place.",
            {"concatenation": "state-cross", "SRM recap": "state-srm", "QIM": "state-qim",
             "SRM + QIM": "state-both", "attention": "state-attention",
             "twister": "state-twister"},
            "SRM + QIM",
        ),
        Experiment(
            "alpha",
            "What does the recap ratio α do, where the state is the only way?",
            "2 or 4 is best: 1 reads the support once, 8 reads a support of two pixels a side. "
            "(Otherwise, when the question below had its first runs and 1 and 8 had none: all "
            "alike, for α × α patches that each read 16/α × 16/α pixels read 256, whatever α is.) "
            "So one of the two is wrong.",
            {"α = 1": "state-alpha-1", "α = 2": "state-both", "α = 4": "state-alpha-4",
             "α = 8": "state-alpha-8"},
            "α = 2",
        ),
        Experiment(
            "untied",
            "Of α's two meanings, how often to recap and how small to read, which matters?",
            "How small: a support read at half its side beats one at a quarter, however often. "
            "Of the last three: 64 patches gain a point or two more, the whole support no more "
            "than half of it (so when each of the others had one seed); both at once, two points "
            "above either (when these had one).",
            {"4 patches, support ÷ 2": "state-both", "16 patches, support ÷ 4": "state-alpha-4",
             "16 patches, support ÷ 2": "state-recap-4-support-2",
             "4 patches, support ÷ 4": "state-recap-2-support-4",
             "64 patches, support ÷ 2": "state-recap-8-support-2",
             "16 patches, support ÷ 1": "state-recap-4-support-1",
             "64 patches, support ÷ 1": "state-recap-8-support-1"},
            "4 patches, support ÷ 2",
        ),
        Experiment(
            "recap-kind",
            "What must a recap keep of the state it meets?",
            "Nothing: a reset is as good as the affine recap, for what a patch needs of the "
            "support is in H_S. Adding without forgetting is no worse than two points.",
            {"SRM recap": "state-srm", "SRM, a recap resets": "state-srm-reset",
             "SRM, a recap adds": "state-srm-add", "read once": "state-cross"},
            "SRM recap",
        ),
        Experiment(
            "generated",
            "Should the support also set how the query is read (the paper's appendix E)?",
            "A point or two at a narrow gap, nothing seen at a wide one: the support's mean moves "
            "every pixel's Δ, B and C alike, which is a second prototype.",
            {"SRM recap": "state-srm", "SRM recap, generated Δ, B, C": "state-srm-generated",
             "SRM + QIM": "state-both", "SRM + QIM, generated Δ, B, C": "state-generated"},
            "SRM recap",
        ),
        Experiment(
            "position",
            "With one direction, does forgetting cost where the scan ends, and does a recap help?",
            "Read once, the lower half of the query scores some points below the upper half; with "
            "recaps the two halves differ less.",
            {"read once, 1 direction": "state-cross-one-way",
             "recap, 1 direction": "state-srm-one-way", "recap, 4 directions": "state-srm"},
            "read once, 1 direction",
        ),
        Experiment(
            "qim-state",
            "Does QIM need the gradient through the support's state, and parameters of its own?",
            "Without it QIM alone never learns to listen; beside SRM it costs little. Own "
            "parameters change nothing. Of the last two (so when all others had a run): nothing "
            "from meeting each direction's state, for SRM reads all four; at full size a point or "
            "two at same, for QIM's map of 8 × 8 blurs what SRM's of 16 × 16 says.",
            {"SRM + QIM": "state-both", "SRM + QIM, no gradient": "state-detached",
             "SRM + QIM, own parameters": "state-qim-own", "QIM": "state-qim",
             "QIM, no gradient": "state-qim-detached",
             "SRM + QIM, each direction": "state-qim-each",
             "SRM + QIM, full size": "state-qim-full"},
            "SRM + QIM",
        ),
        Experiment(
            "directions",
            "How many reading directions does the state need?",
            "Four beat one: with one, a pixel early in the scan hears little.",
            {"1 direction": "state-directions-1", "2 directions": "state-directions-2",
             "4 directions": "state-both"},
            "4 directions",
        ),
        Experiment(
            "size",
            "Does a larger state, or do more blocks (Table 4), carry more of the support?",
            "More state helps a little, more blocks more than that.",
            {"state 4": "state-size-4", "state 16, 2 blocks": "state-both",
             "state 64": "state-size-64", "4 blocks": "state-depth-4", "6 blocks": "state-depth-6"},
            "state 16, 2 blocks",
        ),
        Experiment(
            "start",
            "What do the matching start and the enlarged support do, where the state is alone?",
            "Both are worth many points; a silent start hardly learns in this time.",
            {"as shipped": "state-both", "silent start": "state-silent",
             "support not enlarged": "state-whole-support"},
            "as shipped",
        ),
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
