"""hmnet evaluate for networks that read sentences: Emoji-Ref, its splits and its floors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hmnet_lite.data.emoji.referring.dataset import SPLITS, EmojiReferring
from hmnet_lite.files import write_json
from hmnet_lite.machine import made_on
from hmnet_lite.scoring.packing import pack
from hmnet_lite.scoring.referring import (
    PRECISIONS,
    RELATIONAL,
    ReferringScores,
    score_misled,
    score_model,
    sentence_use,
)
from hmnet_lite.training import zoo

SCENES, SEED = 200, 321  # of each split


def evaluate_on_sentences(
    path: Path,
    out: Path | None,
    command: str,
    *,
    scenes: int | None = None,
    seed: int | None = None,
    support_use: bool = True,
) -> None:
    """Score a network and the floors on the three test splits; print them, write them.

    Args:
        path: a ReMamber's checkpoint.
        out: JSON to write, or None.
        command: the line that was typed.
        scenes, seed: of each split; 200 and 321 when None.
        support_use: also ask a wrong sentence of every picture, see `score_misled`.
    """
    facts, model = zoo.facts(path), zoo.load(path)
    scenes, seed = scenes or SCENES, SEED if seed is None else seed
    splits: dict[str, Any] = {}
    heard: dict[str, Any] = {}
    for split in SPLITS[1:]:
        data = EmojiReferring(facts["fold"], split, seed=seed, length=scenes)
        scores = score_model(model, data)
        splits[split] = {name: _scores(each) for name, each in scores.items()}
        splits[split] |= {"fingerprint": data.fingerprint, "counts": pack(scores["model"].rows)}
        if support_use:
            heard[split] = sentence_use(scores["model"], score_misled(model, data))
    report = {
        "dataset": "emoji-ref", "fold": facts["fold"], "seed": seed, "scenes": scenes,
        "network": path.stem, "training": facts, "splits": splits,
        "sentence use": heard,
        "made": {**made_on(), "command": command},
    }  # fmt: skip
    if out:
        write_json(out, report)
    print("\n\n".join(table(split, rows) for split, rows in splits.items()))
    if heard:
        print("\nsentence use (oIoU)\n" + "\n".join(told(*x) for x in heard.items()))
    if out:
        print(f"\nwrote {out}")


def table(split: str, rows: dict[str, Any]) -> str:
    """One split, a row a method, in percent."""
    names = ["oIoU", "mIoU", *(f"P@{k}" for k in PRECISIONS)]
    lines = [f"{split:<18}" + "".join(f"{name:>8}" for name in names) + "  relational oIoU"]
    for name, scores in rows.items():
        if not isinstance(scores, dict):  # what the split is, and each sentence's counts
            continue
        numbers = "".join(f"{scores['all'][key]:8.1f}" for key in names)
        lines.append(f"{name:<18}{numbers}{scores['relational']['oIoU']:12.1f}")
    return "\n".join(lines)


def told(split: str, use: dict[str, Any]) -> str:
    """A line on one split: what a wrong sentence costs, see `sentence_use`."""
    lost, low, high = (100 * x for x in use["minus wrong"])
    return (
        f"{split:<18}{100 * use['right']:8.1f}, asked a wrong one {100 * use['wrong']:.1f}: "
        f"{lost:+.1f} (95% interval over sentences: {low:+.1f} to {high:+.1f})"
    )


def _scores(scores: ReferringScores) -> dict[str, dict[str, float]]:
    kinds = {kind: scores.only(kind) for kind in sorted(set(scores.kinds))}
    parts = {"all": scores, "relational": scores.only(*RELATIONAL), **kinds}
    return {name: part.to_dict() for name, part in parts.items() if part.rows}
