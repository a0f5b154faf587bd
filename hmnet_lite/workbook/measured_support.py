"""Support use of every network that ships: what it loses when the wrong support is shown.

    python -m hmnet_lite.workbook.measured_support    # writes figures/support_use.json

What is misled is what reads the support on its way to the state: HMNet-lite's mixer, while prior
and prototype stay right; DiffewS's attention, while the first guess stays right. A ReMamber is
asked the sentence of another scene, by which everything that it hears is wrong. Runs whose episodes
notebook 09 has counted are read from figures/experiments; others are measured, in a quarter of an
hour.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hmnet_lite.data.emoji.protocol import GAPS
from hmnet_lite.data.emoji.referring.dataset import SPLITS, EmojiReferring
from hmnet_lite.experiments.results import path_of, read
from hmnet_lite.experiments.runs import TEST, identify
from hmnet_lite.files import write_json
from hmnet_lite.machine import made_on
from hmnet_lite.models.backbones import Features
from hmnet_lite.models.diffews.model import DiffewS
from hmnet_lite.models.features import CachedFeatures
from hmnet_lite.scoring.evaluate import evaluate
from hmnet_lite.scoring.gaps import SHOWN, misled_predictor, next_of_another_class
from hmnet_lite.scoring.intervals import Difference, paired_difference
from hmnet_lite.scoring.latents import LatentEpisodes, light, masks_of, score_latents
from hmnet_lite.scoring.metrics import Scores
from hmnet_lite.scoring.predict import model_predictor
from hmnet_lite.scoring.referring import score_misled, score_model, sentence_use
from hmnet_lite.scoring.report import lay_out, span
from hmnet_lite.training import zoo
from hmnet_lite.workbook.make import FOLDER, plain

FILE = FOLDER / "support_use.json"
COMMAND = "python -m hmnet_lite.workbook.measured_support"
#: of a DiffewS, which draws each answer: episodes a gap, and the gaps of diffews_fold0.json
DRAWN, DRAWN_AT = 50, ("same", "cross")
SCENES = 200  # of each split of sentences: as `hmnet evaluate` tests
KNOWN_FOLD = 0  # where a network knows all classes: those that README's first table asks for


def support_use(
    names: Sequence[str] | None = None,
    *,
    gaps: Sequence[str] | None = None,
    episodes: int = TEST.episodes,
    drawn: int = DRAWN,
    scenes: int = SCENES,
) -> dict[str, Any]:
    """What the right support is worth to shipped networks.

    Args:
        names: of them; all when None.
        gaps: that are measured: all four, of a DiffewS `DRAWN_AT` when None. Files have all.
        episodes: a gap where an HMNet-lite is measured.
        drawn: the same, of a DiffewS.
        scenes: of each split, of a ReMamber.

    Returns:
        name to {"from", "episodes" or "scenes", "fold", "knows the classes", "metric", "gaps" (of
        a ReMamber: splits)}. Each gap: "right", "wrong" and the like, in [0, 1], and what is lost,
        "minus wrong" and the like, [difference, low, high] with its 95 % interval over episodes or
        sentences; the difference alone where a file keeps no counts; nothing of the kind where a
        network has no mixer to be misled.
    """
    found = {}
    for name in zoo.names() if names is None else names:
        facts = zoo.facts(name)
        task = facts.get("task")
        source = {"from": "measured", "metric": "mIoU"}
        if task == "referring":
            told, lost = {"metric": "oIoU", "scenes": scenes}, _by_words(name, scenes)
        elif task == "diffusion":
            told, lost = {"episodes": drawn}, _drawn(name, gaps or DRAWN_AT, drawn)
        elif read_back := _counted(name):
            told, lost = read_back
        else:
            told, lost = {"episodes": episodes}, _measured(name, gaps or GAPS, episodes)
        fold = facts["fold"]
        whom = {"fold": KNOWN_FOLD if fold is None else fold, "knows the classes": fold is None}
        found[name] = source | told | whom | {"gaps": lost}
    return found


def _counted(name: str) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Of a network whose run has a file in figures/experiments; None where it has none."""
    run = identify(zoo.find(name))
    path = path_of(run)
    if not path.exists():
        return None
    result = read(path)
    if result.facts["seconds"] != zoo.facts(name)["seconds"]:
        return None  # the same recipe, trained another time
    gaps = {}
    for gap in GAPS:
        scores = {shown: result.scores.get((gap, shown)) for shown in ("right", "wrong")}
        gaps[gap] = lost({key: x for key, x in scores.items() if x})
        none = result.miou(gap, "none")
        if none is not None:
            gaps[gap] |= {"none": none, "minus none": [gaps[gap]["right"] - none]}
    episodes = result.facts["protocol"]["episodes"]
    return {"from": f"figures/experiments/{path.name}", "episodes": episodes}, gaps


def _measured(name: str, gaps: Sequence[str], episodes: int) -> dict[str, Any]:
    network = zoo.load(name, device="cpu")
    fold = zoo.facts(name)["fold"]
    found = {}
    for gap in gaps:
        protocol = replace(TEST, fold=fold or KNOWN_FOLD, gap=gap, episodes=episodes)
        cached = CachedFeatures(protocol.build(), workers=1)
        asked = {"right": model_predictor(network)}
        asked |= {shown: misled_predictor(network, cached, shown) for shown in SHOWN}
        found[gap] = lost(evaluate(asked, cached))
    return found


def _drawn(name: str, gaps: Sequence[str], episodes: int) -> dict[str, Any]:
    """Of a DiffewS: its attention misled; "everywhere": the first guess as well."""
    network = zoo.load(name, device="cpu")
    found = {}
    for gap in gaps:
        protocol = replace(TEST, fold=zoo.facts(name)["fold"], gap=gap, episodes=episodes)
        data = protocol.build()
        cached = LatentEpisodes(data, network)
        scores = {shown: score_latents(network, cached, shown=shown) for shown in ("right", *SHOWN)}
        scores["everywhere"] = _misled_everywhere(network, cached, CachedFeatures(data, workers=1))
        found[gap] = lost(scores)
    return found


def _misled_everywhere(network: DiffewS, cached: LatentEpisodes, seen: CachedFeatures) -> Scores:
    """Of a DiffewS whose first guess, too, is made of the support of another class."""
    scores = Scores()
    classes = [seen[index].class_id for index in range(len(seen))]
    for index in range(len(seen)):
        wrong = next_of_another_class(classes.__getitem__, len(classes), index)
        batch, other = cached.batch([index]), cached.batch([wrong])
        told = {name: getattr(other, name) for name in ("supports", "told", "inside")}
        support, query = seen[wrong].support.float(), seen[index].query.deep[None].float()
        alike = network.alike(Features(query, query), Features(support, support), (1, len(support)))
        drawn = light(network, replace(batch, **told, alike=alike))
        (mask,) = masks_of(network, drawn, batch.masks.shape[-2:])
        scores.update(mask, batch.masks[0], classes[index])
    return scores


def _by_words(name: str, scenes: int) -> dict[str, Any]:
    network = zoo.load(name, device="cpu")
    found = {}
    for split in SPLITS[1:]:
        data = EmojiReferring(zoo.facts(name)["fold"], split, length=scenes)
        right = score_model(network, data, floors=False)["model"]
        found[split] = sentence_use(right, score_misled(network, data))
    return found


def lost(scores: Mapping[str, Scores]) -> dict[str, Any]:
    """Scores of one gap, "right" among them, and what is lost under each of the others."""
    found: dict[str, Any] = {shown: each.miou for shown, each in scores.items()}
    for shown, each in scores.items():
        if shown != "right":
            found[f"minus {shown}"] = ends(paired_difference(scores["right"], each))
    return found


def ends(difference: Difference) -> list[float]:
    """[difference, low, high]."""
    return [difference.mean, difference.low, difference.high]


def kept(path: Path = FILE) -> dict[str, Any]:
    """The numbers as they are kept: what `support_use` gives.

    Raises:
        OSError: there is no such file.
    """
    return json.loads(path.read_text(encoding="utf-8"))["networks"]


def table(networks: Mapping[str, Any] | None = None) -> str:
    """The README's: points that a wrong support costs / none, of all but HMNet-lite's four folds.

    Training seeds of one network are one row, their mean; a dash for what was not measured.

    Args:
        networks: what `support_use` gives; as it is kept when None.
    """
    rows: dict[str, list[Mapping[str, Any]]] = {}
    for name, told in (kept() if networks is None else networks).items():
        if "same" in told["gaps"] and "minus wrong" in told["gaps"]["same"]:
            rows.setdefault(name.partition("-seed")[0], []).append(told["gaps"])
    body = []
    for name, seeds in rows.items():
        if name.startswith("hmnet-lite-fold"):
            continue  # in a table of their own
        label = f"`{name}`" + (f", {len(seeds)} seeds" if len(seeds) > 1 else "")
        body.append([label, *(_cell(seeds, gap, SHOWN) for gap in GAPS)])
        if any("minus everywhere" in gap for gap in seeds[0].values()):
            cells = (_cell(seeds, gap, ("everywhere",)) for gap in GAPS)
            body.append([f"`{name}`, its first guess misled, too", *cells])
    return lay_out(["support use (points)", *GAPS], body, markdown=True)


def _cell(seeds: Sequence[Mapping[str, Any]], gap: str, shown: Sequence[str]) -> str:
    if gap not in seeds[0]:
        return "-"
    means = [statistics.fmean(found[gap][f"minus {x}"][0] for found in seeds) for x in shown]
    return " / ".join(span([mean]) for mean in means)


def main(names: Sequence[str]) -> int:
    """Measure the networks of these names, or all; the file keeps the others as they were."""
    now = plain(support_use(names or None))
    networks = (kept() if names and FILE.exists() else {}) | now
    ordered = {name: networks[name] for name in sorted(networks)}
    write_json(FILE, {"command": COMMAND, "made": made_on(), "networks": ordered})
    print(FILE)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
