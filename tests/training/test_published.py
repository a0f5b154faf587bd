"""The published network, trained end to end on a small tree in PASCAL's layout."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from hmnet_lite.data.photos.protocol import PhotoProtocol
from hmnet_lite.models.backbones import Frozen
from hmnet_lite.models.hmnet import backbones
from hmnet_lite.models.hmnet.backbones import VGG16, Maps, ResNet50
from hmnet_lite.models.hmnet.base_learner import BaseLearner
from hmnet_lite.models.hmnet.model import PublishedConfig, PublishedHMNet
from hmnet_lite.scoring.evaluate import evaluate
from hmnet_lite.scoring.predict import segment_episode
from hmnet_lite.tensors import read_tensors, write_tensors
from hmnet_lite.training.checkpoint import load_checkpoint, read_facts
from hmnet_lite.training.imagenet import read_imagenet
from hmnet_lite.training.photos import LiveLabels, LivePhotos
from hmnet_lite.training.published import (
    base_recipe,
    load_base,
    published_recipe,
    train_base,
    train_published,
)
from tests.data.photos import trees

PROTOCOL = PhotoProtocol("pascal", fold=0, image_size=65, small_object=1, episodes=10)


class Tiny(Frozen):
    """A backbone in five layers, as the published ones, of a few numbers."""

    low_channels, mid_channels, deep_channels = 16, 16, 16

    def __init__(self):
        super().__init__()
        for i, (inputs, stride) in enumerate(((3, 2), (16, 2), (16, 2), (16, 1), (16, 1))):
            conv = nn.Conv2d(inputs, 16, 3, stride, padding=1)
            self.add_module(f"layer{i}", nn.Sequential(conv, nn.ReLU()))
        self.freeze()

    @torch.no_grad()
    def forward(self, images):
        low = self.layer2(self.layer1(self.layer0(images)))
        mid = self.layer3(low)
        return Maps(low, mid, self.layer4(mid))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return trees.pascal(tmp_path_factory.mktemp("voc"))


@pytest.fixture
def config(monkeypatch):
    monkeypatch.setitem(backbones.BACKBONES, "tiny", Tiny)
    return PublishedConfig(backbone="tiny", image_size=65, dim=16, depth=2, state=4, maps=9)


def test_views_are_new_at_every_number_and_the_same_on_every_run(root):
    live, again = (LivePhotos(PROTOCOL.training(1, root, progress=False)) for _ in range(2))
    assert live.round == 45 and len(live.classes) == 15  # 15 base classes, 3 pictures of each
    one, two = live.batch([0, 1, 45], 0, "cpu"), again.batch([0, 1, 45], 0, "cpu")
    assert torch.equal(one.query, two.query) and torch.equal(one.support_masks, two.support_masks)
    assert not torch.equal(live.batch([0], 1, "cpu").query, one.query[:1])
    assert one.query.shape == (3, 3, 65, 65) and one.query.dtype == torch.uint8
    assert (one.labels >= 1).all() and (one.labels <= 15).all()
    plans = PROTOCOL.training(90, root, progress=False)  # of seed 0
    first = plans.plan(0)[1]
    later = next(n for n in range(45, 90) if plans.plan(n)[1] == first)  # the next round
    assert not torch.equal(live.batch([later], 0, "cpu").query, one.query[:1])


def test_labels_hold_every_base_class_of_a_picture(root):
    labels = LiveLabels(PROTOCOL.training(1, root, progress=False))
    batch = labels.batch(range(6), 0, "cpu")
    names = sorted(labels.classes)
    for row in range(6):
        class_id = labels.episodes.plan(row)[0]
        ours = batch.labels[row] == names.index(class_id) + 1
        assert ours.sum() > 50  # the view shows the class, painted in its colour
        painted = batch.images[row][:, ours].float().median(dim=1).values.numpy()
        assert np.abs(painted - trees.colour(class_id)).max() < 12
        assert set(batch.labels[row].unique().tolist()) <= {0, names.index(class_id) + 1, 255}
    with pytest.raises(ValueError, match=r"these are test episodes"):
        LiveLabels(PROTOCOL.build(root, progress=False))


@pytest.mark.slow
def test_both_stages_learn_resume_and_are_evaluated(root, config, tmp_path):
    budget = base_recipe(PROTOCOL, 45, steps=30, batch=8, workers=0, checkpoint_every=10,
                         sgd_learning_rate=0.05)  # fmt: skip
    base = train_base(config, PROTOCOL, root, tmp_path / "base.safetensors", budget=budget,
                      progress=False)  # fmt: skip
    newest = sorted((tmp_path / "base.run").glob("step*"))[-1]
    loss = read_tensors(newest)[0]["history.loss"]
    assert loss[-5:].mean() < 0.7 * loss[:5].mean()

    budget = published_recipe(PROTOCOL, 45, steps=24, batch=4, workers=0, checkpoint_every=8,
                              learning_rate=3e-3, sgd_learning_rate=0.02)  # fmt: skip
    ask = dict(base=base, budget=budget, progress=False)
    whole = train_published(config, PROTOCOL, root, tmp_path / "whole.safetensors", **ask)
    loss = read_tensors(sorted((tmp_path / "whole.run").glob("step*"))[-1])[0]["history.loss"]
    assert loss[-5:].mean() < loss[:5].mean()

    stopped = tmp_path / "stopped.run"
    stopped.mkdir()
    old = tmp_path / "whole.run" / "step-00000016.safetensors"
    (stopped / old.name).write_bytes(old.read_bytes())
    again = train_published(config, PROTOCOL, root, tmp_path / "stopped.safetensors",
                            resume=True, **ask)  # fmt: skip
    one, two = load_checkpoint(whole), load_checkpoint(again)
    pairs = zip(one.state_dict().values(), two.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert read_facts(whole)["dataset"] == "pascal" and len(read_facts(whole)["classes"]) == 15

    episodes = PROTOCOL.build(root, progress=False)
    scores = evaluate({"net": lambda e: segment_episode(one, e)}, episodes, progress=False)
    assert 0 <= scores["net"].miou <= 1


def test_the_recipe_is_the_paper_s():
    pascal = published_recipe(PhotoProtocol("pascal", fold=0), 5000)
    coco = published_recipe(PhotoProtocol("coco", fold=0), 80000)
    assert (pascal.batch, pascal.steps) == (8, 300 * 5000 // 8)
    assert (coco.batch, coco.steps) == (16, 75 * 80000 // 16)
    for recipe in (pascal, coco):
        assert (recipe.optimiser, recipe.learning_rate) == ("published", 6e-5)
        assert recipe.sgd_learning_rate == 5e-3
    assert published_recipe(PROTOCOL, 10, minutes=3).minutes == 3
    assert base_recipe(PROTOCOL, 10).optimiser == "sgd"


def test_the_episode_s_class_can_be_left_out():
    torch.manual_seed(0)
    learner = BaseLearner(8, 4)
    features = torch.randn(2, 512, 3, 3)
    every = learner.foreground(features)
    left = learner.foreground(features, torch.tensor([1, 3]))
    classes = learner.classify(features.relu()).softmax(1)
    own = torch.stack([classes[0, 1], classes[1, 3]])[:, None]
    torch.testing.assert_close(left, every - own)


def test_classes_and_base_learners_that_do_not_fit_are_named(root, config, tmp_path):
    with pytest.raises(ValueError, match=r"base_classes is 61; expected 16: background and the 15"):
        train_base(replace(config, base_classes=61), PROTOCOL, root, tmp_path / "b.safetensors",
                   progress=False)  # fmt: skip
    other = write_tensors(tmp_path / "x.safetensors", {"x": torch.zeros(1)}, {})
    with pytest.raises(ValueError, match=r"is no base learner of a network with backbone tiny"):
        load_base(PublishedHMNet(config), other)
    with pytest.raises(OSError, match="it is a folder"):
        train_base(config, PROTOCOL, root, tmp_path, progress=False)


# ---- ImageNet weights


def torchvision_resnet50(plain):
    """Random weights under torchvision's names, and PFENet's of the deep stem."""
    source = ResNet50(deep_stem=not plain).state_dict()
    places = {"0": "conv1", "1": "bn1", "3": "conv2", "4": "bn2", "6": "conv3", "7": "bn3"}
    named = {}
    for name, value in source.items():
        first, place, *rest = name.split(".")
        key = ".".join([places[place], *rest]) if first == "layer0" else name
        named[key] = value
    return named | {"fc.weight": torch.zeros(1000, 2048), "fc.bias": torch.zeros(1000)}, source


@pytest.mark.slow
@pytest.mark.parametrize("plain", [True, False])
def test_resnet_weights_in_torchvision_s_format(tmp_path, plain):
    named, source = torchvision_resnet50(plain)
    torch.save(named, tmp_path / "resnet50.pth")
    net = ResNet50(deep_stem=not plain)
    read_imagenet(net, tmp_path / "resnet50.pth")
    assert all(torch.equal(x, source[n]) for n, x in net.state_dict().items())
    mend = "take backbone='resnet50_plain'" if plain else "take backbone='resnet50'"
    with pytest.raises(ValueError, match=mend):
        read_imagenet(ResNet50(deep_stem=plain), tmp_path / "resnet50.pth")


@pytest.mark.slow
def test_vgg_weights_in_torchvision_s_format(tmp_path):
    widths = [
        64,
        64,
        "M",
        128,
        128,
        "M",
        256,
        256,
        256,
        "M",
        512,
        512,
        512,
        "M",
        512,
        512,
        512,
        "M",
    ]
    layers, inputs = [], 3
    for width in widths:
        if width == "M":
            layers.append(nn.MaxPool2d(2, 2))
        else:
            layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
            inputs = width
    theirs = nn.Sequential(*layers).eval()
    for module in theirs:
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
    weights = {f"features.{n}": x for n, x in theirs.state_dict().items()}
    torch.save(weights | {"classifier.0.bias": torch.zeros(3)}, tmp_path / "vgg16_bn.pth")
    net = VGG16()
    read_imagenet(net, tmp_path / "vgg16_bn.pth")
    picture = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(net(picture).deep, theirs[:-1](picture))
    weights.pop("features.0.weight")
    torch.save(weights, tmp_path / "vgg16_bn.pth")
    with pytest.raises(ValueError, match=r"missing layer0.0.weight, unexpected nothing"):
        read_imagenet(net, tmp_path / "vgg16_bn.pth")
