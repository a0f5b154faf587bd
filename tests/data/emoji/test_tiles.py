"""The committed drawings and photographs: complete, credited, refused when damaged."""

import json
import shutil
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from hmnet_lite.data import EmojiEpisodes
from hmnet_lite.data.emoji import tiles
from hmnet_lite.data.emoji.dataset import FLUENT_STYLES, TRAIN_STYLES

DATA = Path(__file__).parents[3] / "data_samples"


def test_committed_data_is_complete_and_small():
    listed = json.loads((DATA / "MANIFEST.json").read_text())
    for name, expected in listed.items():
        assert (DATA / name).stat().st_size == expected["bytes"]
        assert tiles.read(DATA, name)
    files = [p for p in DATA.rglob("*") if p.is_file() and p.parent.name != "checkpoints"]
    assert sum(p.stat().st_size for p in files) <= 12e6
    known = tiles.classes(DATA)
    assert sorted(c["id"] for c in known) == list(range(1, 81))
    assert Counter(c["fold"] for c in known) == dict.fromkeys(range(4), 20)
    for style in (*TRAIN_STYLES, *FLUENT_STYLES):
        assert (DATA / f"licences/{style}.txt").stat().st_size > 200
        assert (DATA / f"contact_sheets/{style}.webp").is_file()


@pytest.mark.parametrize("style", [*TRAIN_STYLES, *FLUENT_STYLES])
def test_tiles_are_trimmed_drawings(style):
    drawn = tiles.tiles(DATA, style)
    assert sorted(drawn) == list(range(1, 81))
    for tile in drawn.values():
        assert tile.shape == (128, 128, 4) and tile.dtype == np.uint8
        opaque = tile[..., 3] >= 128
        assert 0.08 < opaque.mean() < 0.88
        edge = np.concatenate([tile[0], tile[-1], tile[:, 0], tile[:, -1]])
        assert not edge.any()
        rows, columns = (np.flatnonzero((tile[..., 3] > 0).any(axis)) for axis in (1, 0))
        assert max(np.ptp(rows), np.ptp(columns)) + 1 >= 122
        assert (tile[..., :3] <= tile[..., 3:]).all()


def test_no_photograph_is_in_both_splits_and_all_are_credited():
    credits = (DATA / "licences/PHOTOGRAPHS.md").read_text()
    sources = {}
    for split in ("train", "test"):
        with zipfile.ZipFile(DATA / f"backgrounds/{split}.zip") as archive:
            names = [name.removesuffix(".webp") for name in archive.namelist()]
        sources[split] = {n.split("-")[1] if n.startswith("hdri-") else n for n in names}
        assert all(f"`{source}`" in credits for source in sources[split])
        assert all(p.shape == (384, 384, 3) for p in tiles.photographs(DATA, split))
    assert not sources["train"] & sources["test"]
    assert len(sources["train"] | sources["test"]) >= 20


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """A copy of data_samples that may be damaged, where EmojiEpisodes will look."""
    folder = tmp_path / "data"
    shutil.copytree(DATA, folder, ignore=shutil.ignore_patterns("contact_sheets", "fluent*"))
    monkeypatch.setenv("HMNET_LITE_DATA", str(folder))
    return folder


def test_data_may_live_elsewhere(copied):
    assert tiles.data_folder() == copied.resolve()
    assert EmojiEpisodes(0, "test", gap="same", length=3)[1].query_mask.any()


@pytest.mark.parametrize("name", ["tiles/noto.zip", "backgrounds/test.zip", "classes.json"])
def test_a_truncated_file_is_named_with_the_mend(copied, name):
    whole = (copied / name).read_bytes()
    (copied / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="git checkout -- data_samples") as error:
        EmojiEpisodes(0, "test", gap="same")
    assert name in str(error.value) and "truncated" in str(error.value)
    assert f"has {len(whole) // 2} bytes" in str(error.value)
    assert f"expected {len(whole)} bytes" in str(error.value)


def test_an_altered_archive_is_refused(copied):
    path = copied / "tiles/twemoji.zip"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"twemoji\.zip is truncated or altered.*SHA-256"):
        EmojiEpisodes(0, "test", gap="same")


def test_an_unknown_style_is_told_the_known_ones():
    with pytest.raises(ValueError, match=r"style='crayon' is not known; choose one of .*openmoji"):
        tiles.tiles(DATA, "crayon")


def test_missing_data_is_named_with_the_mend(copied, monkeypatch):
    (copied / "tiles/openmoji.zip").unlink()
    with pytest.raises(FileNotFoundError, match=r"openmoji\.zip is missing; restore it with: git"):
        EmojiEpisodes(0, "test", gap="same")
    (copied / "MANIFEST.json").write_text("{ half")
    tiles.manifest.cache_clear()
    with pytest.raises(ValueError, match=r"MANIFEST\.json is not the JSON it should be"):
        EmojiEpisodes(0, "test", gap="same")
    (copied / "MANIFEST.json").write_text("{}")
    tiles.manifest.cache_clear()
    with pytest.raises(ValueError, match=r"does not list .*git checkout -- data_samples"):
        EmojiEpisodes(0, "test", gap="same")
    monkeypatch.setenv("HMNET_LITE_DATA", str(copied / "nowhere"))
    with pytest.raises(FileNotFoundError, match=r"HMNET_LITE_DATA=.*nowhere.*git checkout"):
        EmojiEpisodes(0, "test", gap="same")
