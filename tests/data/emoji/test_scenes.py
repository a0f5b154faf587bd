"""Where objects come to lie, and that masks are what was drawn."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hmnet_lite.data import EmojiEpisodes
from hmnet_lite.data.emoji import render, tiles
from hmnet_lite.data.emoji.protocol import TRAINING_GAPS
from hmnet_lite.data.emoji.scene import Scene, arrange, compose, place
from hmnet_lite.data.stream import Stream

DATA = tiles.data_folder()


def arrangements(dataset: EmojiEpisodes, indices: range):
    """(is it the query, scene, where everything lies) of many scenes."""
    for i in indices:
        plan = dataset.plan(i)
        for scene in (plan.query, *plan.supports):
            yield scene is plan.query, scene, arrange(scene, drawings(scene), dataset.image_size)


def drawings(scene: Scene) -> dict[str, dict[int, np.ndarray]]:
    """Of the styles that a scene shows."""
    return {style: tiles.tiles(DATA, style) for style in {thing.style for thing in scene.things}}


def shares(scene, placed) -> tuple[float, float]:
    """Visible share of the target's own area, and its share of the image."""
    whole = np.count_nonzero(render.solid(placed.sprites[len(scene.below)]))
    visible = np.count_nonzero(placed.labels == 1)
    return visible / whole, visible / placed.labels.size


@pytest.mark.parametrize(("gap", "split"), [("cross", "train"), ("held_out", "test")])
def test_targets_stay_visible_enough(gap, split):
    dataset = EmojiEpisodes(3, split, gap=gap)
    hidden = []
    for is_query, scene, placed in arrangements(dataset, range(120)):
        visible, area = shares(scene, placed)
        if is_query:
            assert visible >= 0.6
            hidden.append(visible < 0.95)
        else:
            assert visible >= 0.8 and area >= 0.02
    assert 0.3 < np.mean(hidden) < 0.7  # occlusion happens, and not always


def test_dials_do_what_they_say():
    dials = {"occlusion": 0.1, "scale": (0.3, 0.35), "distractors": 5, "gap": "cross"}
    dataset = EmojiEpisodes(0, "test", **dials)
    for is_query, scene, placed in arrangements(dataset, range(25)):
        assert shares(scene, placed)[0] >= (0.9 if is_query else 0.8)
        assert len(scene.things) == (6 if is_query else 3)
        distractors = [t for t in scene.things if t is not scene.target]
        assert all(round(0.3 * 256) <= t.size <= round(0.35 * 256) for t in distractors)
    alone = EmojiEpisodes(0, "test", gap="cross", distractors=0, occlusion=0)[0]
    assert (alone.query_objects == alone.query_mask).all()


def test_a_distractor_without_room_goes_under_the_rest():
    block = np.full((60, 60), render.LANES * np.uint64(255))
    for seed in range(5):
        order, _, labels = place([block, block], 0, 0.0, 64, Stream(seed))
        assert order == [1, 0] and np.count_nonzero(labels == 1) == 3600


@pytest.mark.parametrize(
    "dials", [{}, {"occlusion": 0, "distractors": 8, "scale": (0.4, 0.6)}], ids=["usual", "crowded"]
)
def test_labels_are_the_topmost_solid_sprites(dials):
    """An independent painter agrees with the placement's book-keeping, pixel by pixel."""
    dataset = EmojiEpisodes(1, "test", gap="held_out", **dials)
    for is_query, scene, placed in arrangements(dataset, range(25)):
        assert not dials or not is_query or shares(scene, placed)[0] == 1
        painted = np.zeros((768, 768), np.uint8)  # the image is its middle: nothing to clip
        for i in placed.order:
            top, left = placed.corners[i]
            height, width = placed.sprites[i].shape
            window = painted[256 + top :, 256 + left :][:height, :width]
            alpha = render.unpack(placed.sprites[i])[..., 3]
            window[alpha >= 128] = 1 if i == len(scene.below) else i + 2
        assert (painted[256:512, 256:512] == placed.labels).all()


@pytest.mark.parametrize("picture", [0, 1])
def test_a_layout_is_the_scene_without_its_pixels(picture):
    hidden = EmojiEpisodes(1, "test", gap="cross", distractors=6, occlusion=0.6)
    alone = EmojiEpisodes(1, "test", gap="cross", distractors=0)
    shares_hidden = []
    for i in range(12):
        labels, share = hidden.layout(i, picture)
        assert np.array_equal(labels, hidden.scene(i, picture).labels)
        scene = (hidden.plan(i).query, *hidden.plan(i).supports)[picture]
        assert share == pytest.approx(1 - shares(scene, arrange(scene, drawings(scene), 256))[0])
        assert alone.layout(i, picture)[1] == 0
        shares_hidden.append(share)
    assert max(shares_hidden) > 0


def test_images_agree_with_their_masks():
    """White targets among black distractors on black: the mask is where it is white."""
    dataset = EmojiEpisodes(2, "test", gap="cross")
    black = (np.zeros((384, 384, 3), np.uint8),)
    for i in range(25):
        scene = dataset.plan(i).query
        flat = {style: dict(drawn) for style, drawn in drawings(scene).items()}
        for thing in scene.things:
            tile = np.where(flat[thing.style][thing.class_id][..., 3:] >= 128, 255, 0)
            tile = tile * ([1, 1, 1, 1] if thing is scene.target else [0, 0, 0, 1])
            flat[thing.style][thing.class_id] = tile
        unlit = [replace(thing, shadow=(0, 0, 1, 0)) for thing in scene.things]
        n = len(scene.below)
        below, above = tuple(unlit[:n]), tuple(unlit[n + 1 :])
        scene = replace(scene, target=unlit[n], below=below, above=above, photograph=0)
        image, labels = compose(scene, flat, black, 256)
        white = image.min(2) > 150
        inside = labels == 1
        padded = np.pad(inside, 1, "edge")
        around = [padded[y : y + 256, x : x + 256] for y in range(3) for x in range(3)]
        assert white[np.all(around, 0)].all() and np.all(around, 0).any()
        assert not white[~np.any(around, 0)].any()


def test_an_episode_is_what_was_composed():
    dataset = EmojiEpisodes(0, "test", gap="cross", shots=2)
    episode, query = dataset[5], dataset.plan(5).query
    labels = arrange(query, drawings(query), dataset.image_size).labels
    assert ((labels == 1) == episode.query_mask).all()
    assert episode.query_image.shape == (256, 256, 3) and episode.support_masks.shape[0] == 2
    assert set(np.unique(episode.query_mask)) == {0, 1}
    assert (episode.query_objects >= episode.query_mask).all()
    assert episode.query_objects.sum() > episode.query_mask.sum()
    assert episode.index == 5 and len(episode.support_styles) == 2


@settings(max_examples=12)
@given(
    st.integers(0, 3),
    st.sampled_from(["train", "test"]),
    st.sampled_from(TRAINING_GAPS),
    st.integers(0, 2**63),
    st.sampled_from([64, 97, 256]),
    st.integers(0, 8),
    st.floats(0, 0.8),
    st.floats(0.1, 0.7),
)
def test_any_allowed_dials_give_valid_episodes(fold, split, gap, seed, side, n, occlusion, scale):
    dataset = EmojiEpisodes(
        fold,
        split,
        gap=gap,
        seed=seed,
        image_size=side,
        distractors=(n // 2, n),
        occlusion=occlusion,
        scale=(scale, 0.7),
    )
    episode = dataset[seed % 1000]  # Episode checks itself
    assert episode.query_mask.any() and episode.query_image.shape == (side, side, 3)
    assert (episode.support_masks == 1).mean() >= 0.02
