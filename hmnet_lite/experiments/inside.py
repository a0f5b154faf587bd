"""Experiments on what is inside a mixer, where the support reaches the query by the state alone."""

from __future__ import annotations

from hmnet_lite.experiments.experiment import Experiment

INSIDE = [
    Experiment(
        "fusion-state",
        "Does ReMamber's twister, made for words, carry a support, too?",
        "It listens, less well than SRM + QIM: the mean and an 8 × 8 support say much of a "
        "class, but a convolution over the support's places has to be learned for every place.",
        {"SRM + QIM": "state-both", "attention": "state-attention", "twister": "state-twister"},
        "SRM + QIM",
    ),
    Experiment(
        "forgetting",
        "Where the state is the only way, what gives back what reading once has forgotten?",
        "None was written: this comparison was first drawn when all of its arms had three "
        "seeds and had been seen beside others.",
        {"read once": "state-cross",
         "recap, α = 2": "state-srm",
         "recap, α = 2, and QIM": "state-both",
         "16 patches, whole, and QIM": "state-recap-4-support-1"},
        "read once",
    ),
    Experiment(
        "alpha",
        "What does the recap ratio α do, where the state is the only way?",
        "2 or 4 is best: 1 reads the support once, 8 reads a support of two pixels a side. "
        "(Otherwise, when the question below had its first runs and 1 and 8 had none: all "
        "alike, for α × α patches that each read 16/α × 16/α pixels read 256, whatever α is.) "
        "So one of the two is wrong.",
        {"α = 1 (1 patch, whole)": "state-alpha-1",
         "α = 2 (4 patches, ÷ 2)": "state-both",
         "α = 4 (16 patches, ÷ 4)": "state-alpha-4",
         "α = 8 (64 patches, ÷ 8)": "state-alpha-8"},
        "α = 2 (4 patches, ÷ 2)",
    ),
    Experiment(
        "untied",
        "Of α's two meanings, how often to recap and how small to read, which matters?",
        "How small: a support read at half its side beats one at a quarter, however often. "
        "Of the last three: 64 patches gain a point or two more, the whole support no more "
        "than half of it (so when each of the others had one seed); both at once, two points "
        "above either (when these had one).",
        {"α = 2 (4 patches, ÷ 2)": "state-both",
         "α = 4 (16 patches, ÷ 4)": "state-alpha-4",
         "16 patches, ÷ 2": "state-recap-4-support-2",
         "4 patches, ÷ 4": "state-recap-2-support-4",
         "64 patches, ÷ 2": "state-recap-8-support-2",
         "16 patches, whole": "state-recap-4-support-1",
         "64 patches, whole": "state-recap-8-support-1"},
        "α = 2 (4 patches, ÷ 2)",
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
        "What do a matching start and a support cut to its box do, where the state is alone?",
        "Both are worth many points; a silent start hardly learns in this time.",
        {"matching start, support cut out": "state-both",
         "silent start, support cut out": "state-silent",
         "matching start, whole picture": "state-whole-support"},
        "matching start, support cut out",
    ),
]  # fmt: skip
