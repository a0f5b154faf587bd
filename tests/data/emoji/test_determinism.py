"""Emoji-20i gives the same bytes everywhere, and a fingerprint that names them."""

import hashlib
import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hmnet_lite.data import EmojiEpisodes
from hmnet_lite.data.emoji.protocol import GAPS
from hmnet_lite.data.stream import Stream

DATA = Path(__file__).parents[3] / "data_samples"


PINNED = {  # what episodes 0, 7 and 19 of fold 1's test set have looked like since GENERATOR 3
    "same": "3997369a8ea4d765673ba0e73ad6b87d14a0903c96b41822c1c4a77de946d0e2",
    "sibling": "b479190324952a525f3e6f828577f2bfdc038bb9f5f12a80daa7157f6f5d4969",
    "cross": "9d915a4e8f8a6a58fecea742f3fce477fb53e96a61255ac4b4ed149f774a83a4",
    "held_out": "51340d119adf8fc0d84d8d873820219d43b670f956bedfa8fa426fa5dc812dfc",
}


def digest(gap: str, order: tuple[int, ...] = (0, 7, 19)) -> str:
    """SHA-256 of some episodes' every byte, asked for in the given order."""
    dataset = EmojiEpisodes(1, "test", gap=gap, shots=2)
    episodes = {i: dataset[i] for i in order}
    total = hashlib.sha256()
    for _, e in sorted(episodes.items()):
        for array in (e.query_image, e.query_mask, e.support_images, e.support_masks):
            total.update(array.tobytes())
        total.update(f"{e.class_id} {e.query_style} {e.support_styles}".encode())
        total.update(e.query_objects.tobytes())
    return total.hexdigest()


@pytest.mark.parametrize("gap", GAPS)
def test_episodes_are_the_pinned_ones(gap):
    assert digest(gap) == PINNED[gap]


@pytest.mark.slow
def test_another_process_gives_the_same_bytes_in_any_order():
    code = (
        "import sys, hmnet_lite.data.emoji.dataset; assert 'PIL' not in sys.modules;"
        "from tests.data.emoji.test_determinism import digest; print(digest('cross', (19, 0, 7)))"
    )
    for hash_seed in ("1", "2"):
        env = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(DATA.parent)}
        done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
        assert done.stdout.strip() == PINNED["cross"], done.stderr


def test_stream_is_frozen_by_its_definition():
    stream = Stream("a", 1)
    words = np.frombuffer(hashlib.shake_256(b"a/1#0").digest(1024), "<u4")
    assert [stream.below(2**32) for _ in range(256)] == words[::-1].tolist()
    following = np.frombuffer(hashlib.shake_256(b"a/1#1").digest(1024), "<u4")
    assert stream.below(1000) == int(following[-1]) * 1000 >> 32


def test_rounded_constants_are_far_from_a_rounding_boundary():
    """Another maths library may differ in the last bit; that must not change an integer."""
    import math
    import statistics

    values = [math.cos(math.radians(d)) * 65536 for d in range(-180, 181) if d % 60]
    normal = statistics.NormalDist()
    bell = [normal.inv_cdf((i + 0.5) / 256) * s / 4 for i in range(256) for s in range(33)]
    for value in values + bell:
        assert abs(value - math.floor(value) - 0.5) > 1e-6


def test_gaps_and_shots_change_only_what_they_name():
    by_gap = [EmojiEpisodes(2, "test", gap=gap) for gap in GAPS]
    for i in range(40):
        plans = [d.plan(i) for d in by_gap]
        assert len({p.class_id for p in plans}) == 1
        assert len({p.query.photograph for p in plans}) == 1
        assert len({tuple((t.class_id, t.size, t.hue) for t in p.query.things) for p in plans}) == 1
        assert len({(p.query.target.style, p.supports[0].target.style) for p in plans}) > 1
    one, five = (EmojiEpisodes(2, "test", gap="cross", shots=k)[3] for k in (1, 5))
    assert five.shots == 5 and (one.query_image == five.query_image).all()
    assert (one.support_images[0] == five.support_images[0]).all()
    assert not (five.support_images[1] == five.support_images[0]).all()


def test_seeds_folds_and_splits_give_other_scenes():
    plans = [
        EmojiEpisodes(fold, split, gap="cross", seed=seed).plan(0)
        for fold, split, seed in itertools.product((0, 1), ("train", "test"), (321, 322))
    ]
    looks = {(p.query.target.hue, p.query.target.size, p.query.target.degrees) for p in plans}
    assert len(looks) == len(plans)


def test_fingerprint_names_the_content():
    common = {"gap": "cross", "shots": 1, "seed": 321, "image_size": 64}
    others = {"gap": "same", "shots": 2, "seed": 1, "image_size": 65}
    others |= {"distractors": (2, 3), "occlusion": 0.3, "scale": (0.24, 0.5)}
    make = EmojiEpisodes
    prints = [make(0, "test", **common).fingerprint, make(1, "test", **common).fingerprint]
    prints += [make(0, "train", **common).fingerprint]
    prints += [make(0, "test", **common | {k: v}).fingerprint for k, v in others.items()]
    assert len(set(prints)) == len(prints)
    defaults = {"distractors": (2, 4), "occlusion": 0.4, "scale": (0.24, 0.55)}
    assert make(0, "test", **common, **defaults).fingerprint == prints[0]
    # a longer data set begins with the episodes of a shorter one
    assert make(0, "test", **common, length=7).fingerprint == prints[0]
