"""Eight questions that the paper leaves open: each with what was expected and what it cannot say.

The predictions stand as they were written before the runs that answer them; where a trial had been
seen before, that is said. The answers are numbers: notebook 09 prints them from the files of the
runs, and from figures/ where shipped networks were asked otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Question:
    """One of them.

    Attributes:
        asked: the question, one sentence.
        expected: before the run.
        silent: what the answer cannot say.
        experiments: names in `suite.EXPERIMENTS` whose differences answer it, where runs do.
    """

    asked: str
    expected: str
    silent: str
    experiments: tuple[str, ...] = ()


QUESTIONS = {
    1: Question(
        "Does what QIM adds grow with the intra-class gap, as its reason says it should?",
        "Yes: reading at every pixel pays more at a wide gap. (So written before the first runs.)",
        "QIM was trained beside SRM here; alone it has nothing but the mean state to learn from.",
        ("listening-state",),
    ),
    2: Question(
        "Is it Mamba, or would any mixer of its size do?",
        "Beside the shortcuts any will do; by the state alone attention is at least as good.",
        "The controls have the mixer's parameters and steps, not its time, and were tuned no more "
        "than it was, which is on fold 1 for Mamba and not at all for them.",
        ("controls", "controls-state"),
    ),
    3: Question(
        "α is two numbers in one, how often to recap and how small the support is read: which of "
        "them matters?",
        "How small; how often hardly.",
        "Maps are 16 × 16 here and 64 × 64 in the paper, so an α of 4 leaves a support of 4 × 4.",
        ("untied", "alpha"),
    ),
    4: Question(
        "What does a recap do: must the state it meets be kept, in part or at all?",
        "No: a reset is as good. (A trial of trained networks asked otherwise, 20 episodes and one "
        "seed, had been seen: it moved by less than a point.)",
        "One mixer block reads the support here; in eight, what one forgets another may keep.",
        ("recap-kind",),
    ),
    5: Question(
        "QIM meets the mean of four directions' states: does it need them, the gradient through "
        "them, or parameters of its own?",
        "The gradient, when nothing else teaches the support scan to write; the rest hardly.",
        "QIM was trained beside SRM where it meets each direction's state, or looks at full size; "
        "alone, neither was.",
        ("qim-state",),
    ),
    6: Question(
        "Does forgetting show in the answer: is a target late in the scan answered worse, and less "
        "so with recaps?",
        "Read once in one direction, the slope of IoU along the scan is negative by some points; "
        "with recaps it is nearer to zero. With four directions there is none.",
        "Where a target lies is not the only thing that differs between targets; all arms answer "
        "the same ones, so their slopes can be compared.",
        ("position",),
    ),
    7: Question(
        "Do the paper's curves predict the score: is a network that forgets less, or whose fused "
        "features resemble the support's more, a better one?",
        "Neither, once networks of one arm are compared with each other.",
        "Nine to twelve networks of four arms: a correlation over them is mostly one over arms.",
    ),
    8: Question(
        "Several supports: is it better to compose their recaps, or to average their states, than "
        "to average their features?",
        "Composing is better at a narrow gap and worse at a wide one, for the last support read "
        "weighs most. (So it was in a trial of 20 episodes and one seed.)",
        "The networks were trained with one support. Generating the query's parameters from it, "
        "the other half of the question, is an experiment of its own, below.",
        ("generated",),
    ),
}
