"""The networks' maps name every part and every shape."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import pytest

from hmnet_lite.workbook.figures.maps import network_map, published_map

SHAPES = {
    "picture": (3, 473, 473), "mask": (473, 473), "low": (512, 60, 60), "mid": (1024, 60, 60),
    "deep": (2048, 60, 60), "base": (512, 60, 61), "prior": (2, 64, 64),
    "query_in": (256, 64, 64), "support_in": (256, 64, 65), "query_out": (256, 64, 66),
    "meta_logits": (2, 64, 67), "base_foreground": (1, 64, 68), "style_distance": (5,),
    "scores": (2, 473, 474),
}  # fmt: skip


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def texts(figure):
    return [t.get_text() for ax in figure.axes for t in ax.texts]


def test_network_map_names_every_part_and_what_is_trained():
    words = " ".join(texts(network_map()))
    for part in ("query", "support masks", "backbone", "prior maps", "prototype", "Mamba mixer"):
        assert part in words
    assert {"given", "frozen, learned elsewhere", "trained on episodes"} <= set(
        texts(network_map())
    )


def test_the_map_shows_every_shape_once_and_no_text_on_another():
    figure = published_map(SHAPES)
    figure.draw_without_rendering()
    texts = figure.axes[0].texts
    shown = [text.get_text() for text in texts]
    for shape in SHAPES.values():
        assert sum(s.endswith(" × ".join(map(str, shape))) for s in shown) >= 1
    boxes = [text.get_window_extent().padded(-1) for text in texts]
    for i, box in enumerate(boxes):
        for j in range(i):
            assert not box.overlaps(boxes[j]), (shown[i], shown[j])


def test_the_map_refuses_other_shapes():
    with pytest.raises(ValueError, match=r"shapes has .* expected .*base_foreground"):
        published_map({k: v for k, v in SHAPES.items() if k != "scores"})
