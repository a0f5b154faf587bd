"""How each named figure is drawn from its numbers, as figures/NAME.json holds them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from hmnet_lite.data import EmojiEpisodes
from hmnet_lite.data.emoji.tiles import data_folder
from hmnet_lite.machine import Timeline
from hmnet_lite.workbook.figures import (
    algorithms,
    attention,
    diffusion,
    experiments,
    maps,
    published,
    qim,
    questions,
    similarity,
    state,
    task,
    traversals,
    twister,
)
from hmnet_lite.workbook.figures import (
    forgetting as readings,
)
from hmnet_lite.workbook.figures import (
    fused_pca as pca,
)
from hmnet_lite.workbook.figures import (
    segment as finding,
)
from hmnet_lite.workbook.figures.parts import DIRECTION_NAMES
from hmnet_lite.workbook.figures.task import zoomed_support

Numbers = Mapping[str, Any]


def readme(numbers: Numbers) -> Figure:
    """One scene at every gap: support, query, answer."""
    fold, index = numbers["fold"], numbers["index"]
    scenes = [EmojiEpisodes(fold, "test", gap=gap)[index] for gap in numbers["gaps"]]
    queries = [scene.query_image for scene in scenes]
    return task.picture_table(
        {"support": [s.support_images[0] for s in scenes], "query": queries, "answer": queries},
        [gap.replace("_", "-") for gap in numbers["gaps"]],
        masks={
            "support": [s.support_masks[0] for s in scenes],
            "answer": [s.query_mask for s in scenes],
        },
        captions={
            "support": [s.support_styles[0] for s in scenes],
            "query": [s.query_style for s in scenes],
        },
    )


def coins(numbers: Numbers) -> Figure:
    """One coin outlined, and what was found of the 24 in the photograph."""
    folder = data_folder() / "photographs"
    support, mask, query = (
        np.asarray(Image.open(folder / name).convert("RGB"))
        for name in ("coin.png", "coin_mask.png", "coins.png")
    )
    answer = next(iter(numbers["answers"].values()))
    found = finding.from_runs(answer["found"], query.shape[:2])
    return finding.example_and_answer(support, mask[..., 0] > 0, query, found)


def scan_matrix(numbers: Numbers) -> Figure:
    """A scan as a matrix between its output and its input."""
    return algorithms.matrix_product(*(np.array(numbers[name]) for name in ("M", "u", "y")))


def scan_costs(numbers: Numbers) -> Figure:
    """Time and memory of five ways of scanning, against the length."""
    return algorithms.log_lines(numbers, "length L")


def scan_roofline(numbers: Numbers) -> Figure:
    """The five ways under what the machine can do at most."""
    return _of(algorithms.roofline(numbers["points"], numbers["exp_rate"], numbers["bandwidth"]))


def gpu_blocks(numbers: Numbers) -> Figure:
    """Fusing two maps on a GPU: hybrid Mamba three ways, and attention."""
    lines = {
        name: (list(map(int, found)), list(found.values()))
        for name, found in numbers["milliseconds"].items()
    }
    return algorithms.log_lines(
        {"milliseconds forward, batch 1": lines}, f"pixels of the map ({numbers['gpu']})"
    )


def receptive_fields(numbers: Numbers) -> Figure:
    """What the pixel in the centre sees, with one direction and with four."""
    fields = {name: np.array(field) for name, field in numbers.items()}
    return traversals.receptive_fields(fields, decades=6)


def attention_or_scan(numbers: Numbers) -> Figure:
    """What attention and a self Mamba block cost, against the size of the map."""
    sides = {side**2: f"{side}²" for side in numbers["sides"]}
    panels = {what: lines for what, lines in numbers.items() if what != "sides"}
    return algorithms.log_lines(panels, "pixels of the map", xlabels=sides)


def forgetting(numbers: Numbers) -> Figure:
    """The support's part of the state along the scan of the query, in two measures."""
    rows = {
        measure: {name: np.array(curve) for name, curve in curves.items()}
        for measure, curves in numbers["rows"].items()
    }
    return state.forgetting_panels(rows, segment=numbers["segment"])


def reading_orders(numbers: Numbers) -> Figure:
    """The path of every direction over a query, patch by patch."""
    episode = EmojiEpisodes(numbers["fold"], "test", gap=numbers["gap"])[numbers["index"]]
    orders, side = np.array(numbers["orders"]), numbers["side"]
    return state.reading_orders(
        episode.query_image, orders, (side, side), ratio=numbers["recap_ratio"]
    )


def recap_ratio(numbers: Numbers) -> Figure:
    """The support as it is read at each α, and its share of the state."""
    pictures = {int(ratio): np.array(image) for ratio, image in numbers["pictures"].items()}
    lows, highs = (np.array(numbers[name]) for name in ("lows", "highs"))
    return state.ratio_sweep(pictures, lows, highs, numbers["notes"])


def intra_class_gap(numbers: Numbers) -> Figure:
    """Cosines of features along the dial."""
    return qim.dial_panels(
        numbers["panels"], numbers["gaps"], ylabel="cosine of features", bottom=0
    )


def who_hears_whom(numbers: Numbers) -> Figure:
    """Which output pixel depends on which input pixel, in SRM and in QIM."""
    matrices = {name: np.array(matrix) for name, matrix in numbers["matrices"].items()}
    return qim.hearing_matrices(matrices, segment=numbers["segment"])


def skip_slip(numbers: Numbers) -> Figure:
    """One skip for every channel, and what that changes."""
    return qim.skip_slip(np.array(numbers["D"]), np.array(numbers["difference"]))


def qim_similarity(numbers: Numbers) -> Figure:
    """How alike query and support are from stage to stage."""
    ylabel = "change of the cosine,\nquery FG with support FG"
    return qim.stage_lines(numbers["panels"], numbers["stages"], ylabel=ylabel)


def published_map(numbers: Numbers) -> Figure:
    """The published HMNet with the shapes of one run."""
    return maps.published_map(numbers)


def published_costs(numbers: Numbers) -> Figure:
    """Memory of one forward pass over time, and the part that was running."""
    seconds, live = (np.array(numbers[name]) for name in ("seconds", "live"))
    spans = tuple((name, begin, end) for name, begin, end in numbers["spans"])
    return published.memory_over_time(Timeline(seconds, live, spans))


def support_forgetting(numbers: Numbers) -> Figure:
    """What is left of the support after each reading: the paper's measure and ours."""
    return readings.saw_teeth(numbers["panels"], ["max cosine", "support's share"])


def forgetting_directions(numbers: Numbers) -> Figure:
    """The support's share after each query patch, by direction."""
    return readings.by_direction(numbers["panels"], DIRECTION_NAMES)


def where_it_lasts(numbers: Numbers) -> Figure:
    """The support's share by direction and state index."""
    shares = {title: np.array(share) for title, share in numbers["where"].items()}
    return readings.where_it_lasts(shares, DIRECTION_NAMES)


def support_similarity(numbers: Numbers) -> Figure:
    """Query FG and BG against the support's FG, before and after each kind of fusion."""
    return similarity.before_and_after(numbers["panels"], numbers["gaps"])


def fused_pca(numbers: Numbers) -> Figure:
    """Fused features as colours, and as likeness to the support's prototype."""
    scenes = _scenes(numbers, numbers["from"]["shown"])
    colours = {kind: np.array(x) / 255 for kind, x in numbers["colours"].items()}
    likeness = {kind: np.array(x) for kind, x in numbers["likeness"].items()}
    pictures = [(scene.query_image, scene.query_mask) for scene in scenes]
    return pca.feature_table(pictures, colours, likeness)


def fused_clouds(numbers: Numbers) -> Figure:
    """Single pixels in the plane of the first two components."""
    return pca.clouds(numbers["clouds"], numbers["explained"])


def implicit_attention(numbers: Numbers) -> Figure:
    """From which pixels one output comes: read once, with recaps, and by QIM."""
    (scene,) = _scenes(numbers, [numbers["from"]["index"]])
    images = (
        zoomed_support(scene)[0] if numbers["zoomed"] else scene.support_images[0],
        scene.query_image,
    )
    titles = (DIRECTION_NAMES[0], DIRECTION_NAMES[3], "all four")
    return attention.heard_table(images, numbers["rows"], tuple(numbers["pixel"]), titles)


def rolled_out(numbers: Numbers) -> Figure:
    """From which pixels one query pixel comes: one block, and both."""
    (scene,) = _scenes(numbers, [numbers["from"]["index"]])
    images = (
        zoomed_support(scene)[0] if numbers["zoomed"] else scene.support_images[0],
        scene.query_image,
    )
    titles = ("the hybrid block alone", "rollout of both blocks")
    return attention.heard_table(images, numbers["rows"], tuple(numbers["pixel"]), titles)


def _scenes(numbers: Numbers, indices: list[int]) -> list:
    came = numbers["from"]
    episodes = EmojiEpisodes(came["fold"], "test", gap=came["gap"])
    return [episodes[index] for index in indices]


def who_is_listened_to(numbers: Numbers) -> Figure:
    """Networks tested with the right support, a wrong one and none at their mixers."""
    return experiments.support_use(numbers)


def arms_against(numbers: Numbers) -> Figure:
    """Arms against the one their question compares them with."""
    return experiments.differences(numbers)


along_the_scan, support_read = questions.along_the_scan, questions.support_read


def curves_and_scores(numbers: Numbers) -> Figure:
    """Notebook 08's measures of each network beside its score."""
    words = {
        "similarity": "cosine with the support, all pixels",
        "FG - BG": "the same, FG minus BG",
        "support's share": "support's share at the scan's end",
    }
    return questions.curves_and_scores(numbers, words)


def more_supports(numbers: Numbers) -> Figure:
    """Trained with one support, asked with several."""
    return questions.more_supports(numbers["miou"])


def boxes(numbers: Numbers) -> Figure:
    """What boxes for masks cost."""
    told = numbers["told"]
    panels: dict[str, Any] = {}
    for network, gaps in told.items():
        for gap, found in gaps.items():
            panels.setdefault(gap, {}).setdefault("box minus mask", {})[network] = found[
                "box - mask"
            ]
    return experiments.differences(panels)


def knocked_out(numbers: Numbers) -> Figure:
    """What a trained network loses when a part is changed."""
    told = numbers["told"]
    gaps = next(iter(told.values()))
    return experiments.differences({
        gap: {
            f"{arm}, against as trained": {
                what: found["change"]
                | {"each": np.subtract(found["miou"], gaps_of[gap]["as trained"]["miou"])}
                for what, found in gaps_of[gap].items()
                if what != "as trained"
            }
            for arm, gaps_of in told.items()
        }
        for gap in gaps
    })  # fmt: skip


def words_scores(numbers: Numbers) -> Figure:
    """A network that reads sentences beside floors that are deaf on purpose."""
    return twister.score_bars(numbers)


def words_arms(numbers: Numbers) -> Figure:
    """Ways to hear a sentence, trained alike."""
    return twister.arm_points(numbers, "twister")


def words_costs(numbers: Numbers) -> Figure:
    """What a training step of each costs."""
    return twister.cost_lines(numbers["sides"], numbers["costs"])


def diffews_beside_hmnet(numbers: Numbers) -> Figure:
    """DiffewS, HMNet-lite and their mean on the same episodes, and how often both fail."""
    return diffusion.beside(numbers["gaps"])


def diffews_shots(numbers: Numbers) -> Figure:
    """What three and five supports change."""
    return diffusion.shot_points(numbers["shots"])


def diffews_arms(numbers: Numbers) -> Figure:
    """Arms that were trained briefly and alike."""
    return diffusion.arm_points(numbers["arms"])


def _of(ax: Any) -> Figure:
    return ax.figure
