"""The published HMNet whole: parity on numbers, gradients, what it says to bad files and input."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from hmnet_lite.models.hmnet.base_learner import Ensemble, gram_matrix, style_distance
from hmnet_lite.models.hmnet.model import PublishedConfig, PublishedHMNet
from hmnet_lite.models.hmnet.prior import published_prior_maps
from hmnet_lite.models.hmnet.weights import (
    CheckpointMismatch,
    hmnet_from_state_dict,
    load_published,
)
from hmnet_lite.models.prior import masked_mean, min_max, similarity
from hmnet_lite.record import Recorder
from tests.golden.synth import synth_input
from tests.golden.variants import synth_weights, variant_names
from tests.models.hmnet.oracle import published_forward

GOLDEN = Path(__file__).parents[2] / "golden"
NAMES = json.loads((GOLDEN / "hmnet_r50_1shot.names.json").read_text())
SEED, SMALL = 5, 97
# pictures of 97 px keep the tests short; the warning about their size has a test of its own
pytestmark = pytest.mark.filterwarnings("ignore:this checkpoint has")


@pytest.fixture(scope="module")
def weights():
    """Of ResNet-50 at one shot: those of the golden run."""
    return synth_weights(NAMES, SEED)


@pytest.fixture(scope="module")
def model(weights):
    return hmnet_from_state_dict(weights, image_size=SMALL)


def normals(shots=1, side=SMALL):
    """Standard-normal query and supports, as already normalised pictures, and disc masks."""
    y, x = np.mgrid[:side, :side] / side
    discs = [(x - 0.5 - 0.05 * k) ** 2 + (y - 0.45) ** 2 < (0.2 + 0.02 * k) ** 2
             for k in range(shots)]  # fmt: skip
    query = synth_input("query", (1, 3, side, side), SEED)
    support = synth_input("support", (1, shots, 3, side, side), SEED)
    masks = np.stack(discs)[None].astype(np.float32)
    return tuple(torch.from_numpy(v) for v in (query, support, masks))


def pictures(shots=1, side=SMALL):
    """The same in [0, 1]."""
    query, support, masks = normals(shots, side)
    return query.sigmoid(), support.sigmoid(), masks


@pytest.fixture(scope="module")
def golden_run(weights):
    with torch.inference_mode(), Recorder() as seen:
        scores = hmnet_from_state_dict(weights).forward_normalised(*normals(side=473))
    return scores, seen.network


@pytest.mark.slow
def test_the_golden_scores_match(golden_run):
    """Target 1e-5 absolute on the final map; measured 3e-7."""
    golden = torch.from_numpy(np.load(GOLDEN / "hmnet_r50_1shot.npz")["final_8"])
    scores = golden_run[0]
    assert scores.shape == (1, 2, 473, 473)
    assert (scores[..., ::8, ::8] - golden).abs().max() < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize(
    "ours, theirs",
    [("prior", "prior"), ("query_in", "mixer_query_in"), ("support_in", "mixer_support_in"),
     ("query_out", "mixer_out"), ("meta_logits", "meta_logits")],
)  # fmt: skip
def test_the_golden_trace_matches(golden_run, ours, theirs):
    """To 5e-5 of each tensor's scale; measured: 2.1e-5 in the prior, which varies with threads."""
    golden = torch.from_numpy(np.load(GOLDEN / "hmnet_r50_1shot.npz")[theirs])
    found = golden_run[1][ours]
    if theirs.startswith("mixer"):
        found = found[:, ::8, ::4, ::4]
    if theirs == "mixer_out":  # recorded behind the decoder's first ReLU
        found = found.relu()
    assert found.shape == golden.shape
    assert (found - golden).abs().max() / golden.abs().max() < 5e-5


@pytest.mark.parametrize(
    "backbone, shots, classes, side",
    [
        pytest.param("resnet50", 5, 16, SMALL, marks=pytest.mark.slow),
        ("vgg16", 1, 16, SMALL),
        pytest.param("vgg16", 5, 16, SMALL, marks=pytest.mark.slow),
        pytest.param("resnet50", 1, 61, 481, marks=pytest.mark.slow),  # COCO's; S = 80
    ],
)
def test_every_variant_equals_the_oracle(backbone, shots, classes, side):
    """Against the description written down a second time, by someone else."""
    names = variant_names(NAMES, backbone=backbone, shots=shots)
    names |= {"base_learner.2.weight": [classes, 512, 1, 1], "base_learner.2.bias": [classes]}
    weights = synth_weights(names, SEED)
    model = hmnet_from_state_dict(weights, backbone=backbone, shots=shots, image_size=side)
    episode = normals(shots, side)
    with torch.inference_mode(), Recorder() as seen:
        expected = published_forward(weights, *episode, backbone=backbone, shots=shots)
        scores = model.forward_normalised(*episode)
    assert (scores - expected["final"]).abs().max() < 1e-5
    torch.testing.assert_close(seen.network["style_distance"], expected["psi"])
    assert expected["final"].std() > 0.1  # there is something to match


def test_pictures_are_normalised_and_a_recorder_changes_nothing(model):
    query, support, masks = pictures()
    mean, std = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    mean, std = (torch.tensor(x).view(3, 1, 1) for x in (mean, std))
    with torch.no_grad():
        scores = model(query, support, masks)
        by_hand = model.forward_normalised((query - mean) / std, (support - mean) / std, masks)
        with Recorder() as seen:
            assert torch.equal(scores, model(query, support, masks))
    torch.testing.assert_close(scores, by_hand)
    assert scores.shape == (1, 2, SMALL, SMALL)
    assert {k: tuple(v.shape) for k, v in seen.network.items()} == {
        "prior": (1, 2, 64, 64), "prototype": (1, 256), "query_in": (1, 256, 64, 64),
        "support_in": (1, 256, 64, 64), "query_out": (1, 256, 64, 64),
        "meta_logits": (1, 2, 64, 64), "base_foreground": (1, 1, 64, 64),
        "style_distance": (1, 1), "mean_style": (1,),
    }  # fmt: skip
    assert [("met_state" in block) for block in seen.blocks] == [False, True]


@pytest.mark.slow
def test_only_its_trained_part_learns():
    """Gradients reach everything but the frozen parts and the support that nobody reads."""
    torch.manual_seed(0)
    model = PublishedHMNet(PublishedConfig(image_size=SMALL, shots=2, depth=2)).train()
    assert not model.backbone.training and not model.base_learner.training
    model(*pictures(shots=2)).square().mean().backward()
    for name, parameter in model.named_parameters():
        frozen = name.startswith(("backbone", "base_learner"))
        unread = name.startswith(("mixer.blocks.1.out_support", "mixer.blocks.1.mlp_support"))
        assert parameter.requires_grad != (frozen or unread), name
        assert (parameter.grad is None) == (frozen or unread), name
    one, two = (model(*pictures(shots=2)) for _ in range(2))
    assert not torch.equal(one, two)  # dropout is on


def test_each_shot_takes_the_sharper_prior():
    """Shot 0 from the second kind of features, shot 1 from the first, by the words of the page."""
    torch.manual_seed(0)
    queries, supports = torch.randn(2, 1, 6, 5, 5), torch.randn(2, 1, 2, 6, 8, 8)
    masks = torch.rand(1, 2, 8, 8).round()
    for kind, shot in ((1, 0), (0, 1)):  # this kind's foreground looks like some of its query
        supports[kind, 0, shot] += 3 * masks[0, shot] * queries[kind, 0, :, 2, 2, None, None]

    def up(x):
        return torch.nn.functional.interpolate(x, (8, 8), mode="bilinear", align_corners=True)

    foreground, contrast, cosines = [], [], []
    for kind in range(2):
        cosine = similarity(queries[kind], masked_mean(supports[kind], masks))
        other = similarity(queries[kind], masked_mean(supports[kind], 1 - masks))
        foreground.append(up(min_max(cosine)))
        contrast.append((foreground[-1] - up(min_max(other))).clamp_min(0))
        cosines.append(cosine.amax((-2, -1))[0])
    assert (cosines[1] > cosines[0]).tolist() == [True, False]
    prior = published_prior_maps(list(queries), list(supports), masks)
    expected = (foreground[1][:, 0] + foreground[0][:, 1]) / 2
    torch.testing.assert_close(prior[:, 0], expected)
    sharper = [int(contrast[1][0, k].max() > contrast[0][0, k].max()) for k in range(2)]
    expected = (contrast[sharper[0]][:, 0] + contrast[sharper[1]][:, 1]) / 2
    torch.testing.assert_close(prior[:, 1], expected)


def test_style_is_a_distance_that_forgets_place_and_strength():
    x = torch.rand(1, 4, 6, 6)
    shuffled = 3 * x.flatten(2)[..., torch.randperm(36)].view_as(x)
    assert style_distance(x, torch.stack([x, shuffled], dim=1)).abs().max() < 1e-6
    assert gram_matrix(x).diagonal(dim1=-2, dim2=-1).sub(1).abs().max() < 1e-6
    y = torch.zeros_like(x)
    y[:, 0] = 1  # one channel alone: G is 1 there and 0 elsewhere
    expected = (gram_matrix(x)[0].square().sum() - 1).sqrt() / 4
    torch.testing.assert_close(style_distance(x, y[:, None])[0, 0], expected)


def test_an_untrained_ensemble_is_the_few_shot_answer():
    logits, style = torch.randn(2, 2, 4, 4), torch.rand(2, 5)
    scores = Ensemble(shots=5)(logits, style, torch.rand(2, 1, 4, 4))
    torch.testing.assert_close(scores, logits.softmax(1))


def test_the_shots_weights_keep_the_released_slip():
    """Sorted weights meet unsorted distances: sorting the shots changes the mean."""
    torch.manual_seed(0)
    ensemble = Ensemble(shots=3)
    style = torch.tensor([[3.0, 1.0, 2.0]])
    weights = ensemble.reweight(torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1, 1)).flatten().softmax(0)
    torch.testing.assert_close(ensemble.mean_style(style)[0], weights @ style[0])
    assert ensemble.mean_style(style) != ensemble.mean_style(style.sort().values)


# --- Checkpoints


def test_module_prefix_arrays_and_precision_are_read(weights, model):
    prefixed = {f"module.{k}": v.numpy() for k, v in weights.items()}
    prefixed["module.down_query.0.weight"] = prefixed["module.down_query.0.weight"].astype("f8")
    ours = hmnet_from_state_dict(prefixed, image_size=SMALL)
    assert ours.reduce_query[0].weight.dtype == torch.float32 and not ours.training
    theirs = model.state_dict()
    assert all(torch.equal(v, theirs[k]) for k, v in ours.state_dict().items())


def test_weights_are_copied(weights, model):
    assert model.merge_query.weight.data_ptr() != weights["init_merge_query.0.weight"].data_ptr()
    kept = weights["mamba.layers.0.blocks.1.self_attention.A_logs"]
    torch.testing.assert_close(model.mixer.blocks[1].ssm.A_log.flatten(0, 1), kept)


def test_sizes_are_read_from_the_weights():
    """COCO's base classes, and a K-shot head with biases or without."""
    names = variant_names(NAMES, shots=5)
    names |= {"base_learner.2.weight": [61, 512, 1, 1], "base_learner.2.bias": [61]}
    weights = synth_weights(names)
    model = hmnet_from_state_dict(weights, shots=5, image_size=633)
    config = PublishedConfig(image_size=633, shots=5, depth=2, base_classes=61, reweight_bias=True)
    assert model.config == config and model.config.map_side == 80
    plain = {k: v for k, v in weights.items() if not (k.startswith("kshot_rw") and "bias" in k)}
    assert not hmnet_from_state_dict(plain, shots=5, image_size=633).config.reweight_bias


def test_missing_unexpected_and_misshapen_weights_are_all_named(weights):
    gone = [k for k in weights if k.startswith("layer4.2.")]
    bad = {k: v for k, v in weights.items() if k not in gone}
    bad |= {"extra.weight": torch.zeros(1), "gram_merge.weight": torch.zeros(1, 3, 1, 1)}
    with pytest.raises(CheckpointMismatch) as caught:
        hmnet_from_state_dict(bad)
    error = caught.value
    assert error.missing == sorted(gone) and error.unexpected == ["extra.weight"]
    assert error.misshapen == {"gram_merge.weight": ((1, 3, 1, 1), (1, 2, 1, 1))}
    assert f"missing {sorted(gone)[0]}, " in str(error) and "and 10 more" in str(error)
    assert "unexpected extra.weight, misshapen gram_merge.weight has shape (1, 3" in str(error)


def but(weights, **other):
    return weights | {k.replace("__", "."): v for k, v in other.items()}


EVIDENT = [
    (lambda w: w, dict(backbone="vgg16"), "is of backbone 'resnet50' and backbone='vgg16' was"),
    (lambda w: w, dict(shots=5), r"trained for 1 shot \(it has no kshot_rw\) and shots=5 was"),
    (lambda w: but(w, kshot_rw__0__weight=torch.zeros(2, 5, 1, 1)), {},
     "trained for 5 shots .* and shots=1 was asked for; pass shots=5"),
    (lambda w: but(w, layer0__0__weight=torch.zeros(64, 3, 7, 7)), {}, "has the standard stem"),
    (lambda w: w | {"layer3.6.conv1.weight": torch.zeros(1)}, {}, "more than 6 bottlenecks"),
    (lambda w: {"state_dict": w}, {}, r"a checkpoint file's dict.*pass its \['state_dict'\]"),
    (lambda w: {k: v for k, v in w.items() if not k.startswith("mamba")}, {}, "no published mixer"),
    (lambda w: w | {"cls.0.weight": "x"}, {}, "holds something that is no tensor"),
    (lambda w: {}, {}, "no published mixer among the 0 names"),
    (lambda w: w, dict(backbone="resnet101"), "'resnet101' is not known; choose one of resnet50"),
    (lambda w: w, dict(image_size=480), "image_size=480; expected 473, 633 or another 8·n"),
    (lambda w: w, dict(shots=0), "shots=0; expected at least 1"),
]  # fmt: skip


@pytest.mark.parametrize("change, arguments, message", EVIDENT)
def test_the_wrong_checkpoint_is_told_what_it_is(weights, change, arguments, message):
    with pytest.raises(ValueError, match=message):
        hmnet_from_state_dict(change(weights), **arguments)


@pytest.mark.filterwarnings("default:this checkpoint has")
def test_an_unusual_image_size_is_warned_about(weights):
    with pytest.warns(UserWarning, match="16 base classes, whose published models saw 473 px"):
        hmnet_from_state_dict(weights, image_size=633)


def test_the_authors_file_is_read(weights, model, tmp_path):
    path = tmp_path / "train_epoch_9.pth"
    content = {"epoch": 9, "state_dict": weights, "optimizer": {"state": {}, "param_groups": []}}
    torch.save(content, path)
    ours, theirs = load_published(path, image_size=SMALL).state_dict(), model.state_dict()
    assert all(torch.equal(v, theirs[k]) for k, v in ours.items())
    torch.save(dict(list(weights.items())[:-1]), path)  # a bare state dict, with a name gone
    with pytest.raises(CheckpointMismatch, match=r"train_epoch_9.pth: .* missing ") as caught:
        load_published(path)
    assert caught.value.missing == [list(weights)[-1]]


class Payload:
    """Unpickling it writes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("how", ["zip", "legacy", "pickle"])
def test_a_payload_is_refused_and_never_runs(tmp_path, how):
    mark, path = tmp_path / "it-ran", tmp_path / "model.pth"
    content = {"state_dict": {"cls.0.weight": torch.zeros(2)}, "epoch": Payload(mark)}
    if how == "pickle":
        path.write_bytes(pickle.dumps(content["epoch"]))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=how == "zip")
    with pytest.raises(ValueError, match=r"model.pth is refused and nothing in it was run"):
        load_published(path)
    assert not mark.exists()
    pickle.loads(pickle.dumps(content["epoch"]))
    assert mark.exists()  # it would have


@pytest.mark.parametrize("legacy", [False, True])
def test_a_truncated_file_is_refused_wherever_it_was_cut(tmp_path, legacy):
    whole, path = tmp_path / "whole.pth", tmp_path / "cut.pth"
    content = {"state_dict": {"mamba.norm.weight": torch.randn(500)}}
    torch.save(content, whole, _use_new_zipfile_serialization=not legacy)
    data = whole.read_bytes()
    for cut in [0, 1, 2, *range(3, len(data) - 1, 97), len(data) - 1]:
        path.write_bytes(data[:cut])
        with pytest.raises(ValueError, match=r"cut.pth is (not a whole checkpoint|refused)"):
            load_published(path)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no checkpoint at .*nowhere.pth; download"):
        load_published(tmp_path / "nowhere.pth")
    path = tmp_path / "page.pth"
    path.write_text("<html>404</html>")
    with pytest.raises(ValueError, match=r"page.pth is refused"):
        load_published(path)
    torch.save([1, 2], path)
    with pytest.raises(ValueError, match=r"page.pth holds a list; expected a dict"):
        load_published(path)
    torch.save({"state_dict": {0: torch.zeros(1)}}, path)
    with pytest.raises(
        ValueError, match="expected a dict with 'state_dict' or 'model', names → tensors"
    ):
        load_published(path)
