"""A look at one's own pictures before anyone trains on them."""

import numpy as np
import pytest
from PIL import Image

from hmnet_lite.data.photos.layout import MissingData
from hmnet_lite.data.photos.report import inspect_folder
from tests.data.photos import trees


def look(root, **options):
    return inspect_folder(root, progress=False, **options)


def test_a_clean_folder(own):
    report = look(own)
    assert [(c.name, c.pictures) for c in report.classes] == [("bowl", 3), ("cup", 3), ("mug", 3)]
    counts = [(30 + n) * (45 - n) for n in (1, 2, 3)]  # as the tree is drawn
    shares = [count / (60 * 80) for count in counts]
    expected = (min(shares), float(np.median(shares)), max(shares))
    assert all(c.coverage == pytest.approx(expected) for c in report.classes)
    assert not (report.empty or report.full or report.suspicious or report.left_out)
    assert report.usable and report.read_as == "folders"
    assert "3 classes, 9 masks, read as folders" in str(report)
    assert str(report).endswith("Nothing is left out, empty or full.")


def test_everything_that_is_odd_is_told(own):
    blank = np.zeros(trees.SIZE, np.uint8)
    Image.fromarray(blank).save(own / "bowl" / "1.png")
    Image.fromarray(blank + 255).save(own / "bowl" / "2.png")
    blank[30:32, 40] = 255
    Image.fromarray(blank).save(own / "cup" / "1.png")
    (own / "cup" / "3.jpg").write_bytes((own / "cup" / "2.jpg").read_bytes())
    (own / "mug" / "1.png").write_bytes(b"no picture")
    picture = own / "mug" / "2.jpg"
    picture.write_bytes(picture.read_bytes()[:900])
    (own / "mug" / "7.png").write_bytes((own / "mug" / "3.png").read_bytes())
    (own / "loose.jpg").write_bytes((own / "cup" / "1.jpg").read_bytes())
    report = look(own)
    assert report.empty == ("bowl/1.jpg",) and report.full == ("bowl/2.jpg",)
    assert [name for name, _ in report.suspicious] == ["cup/1.jpg", "cup/3.jpg"]
    assert "is the same file as cup/2.jpg" in report.suspicious[1][1]
    reasons = dict(report.left_out)
    assert list(reasons) == ["loose.jpg", "mug/1.png", "mug/2.jpg", "mug/7.png"]
    assert "belongs to no class" in reasons["loose.jpg"]
    assert all("Mend: " in reason for reason in reasons.values())
    assert [(c.name, c.pictures) for c in report.classes] == [("bowl", 2), ("cup", 3), ("mug", 1)]
    assert not report.usable
    text = str(report)
    assert "  mug       1 pictures" in text and "(an episode needs 2 or more)" in text
    assert "1 × is covered almost whole; is the mask inverted?:\n  bowl/2.jpg" in text
    heads = look(own, decode=False)  # a picture cut short has a whole head
    assert "mug/2.jpg" not in dict(heads.left_out) and "mug/1.png" in dict(heads.left_out)


def test_long_lists_are_cut_when_printed(own):
    for number in range(40):
        (own / f"{number}.jpg").write_bytes(b"")
    report = look(own)
    assert len(report.left_out) == 40 and "... and 20 more" in str(report)


def test_no_folder(tmp_path):
    with pytest.raises(MissingData, match="there is no folder"):
        look(tmp_path / "nowhere")
    with pytest.raises(MissingData, match="no folder with pictures"):
        look(tmp_path)
