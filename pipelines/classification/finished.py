"""The finished model: all that a prediction needs in one folder, and nothing to know a patient by.

    model.safetensors   segmenter.*, encoder.*, head.{weight, bias, mean, scale}
    model.json          format, kind, study, segmenter, encoder, head {threshold, l2, slope, intercept, ...},
                        classification, trained_on, seen, versions

Threshold and calibration are what the pooled inner folds choose over all subjects. `trained_on.subjects` are
digests of pseudonyms: enough to tell that a subject trained the model, not enough to find it elsewhere.
`trained_on.pixels` are digests of the films' pixels: they tell the same in a store with another key, whose
pseudonyms differ, to nobody but who holds the film. `seen` holds the same of segmenter and encoder (`training.seen`).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from pipelines.classification.config import ClassificationConfig
from pipelines.classification.described import FORMAT, KIND, Description
from pipelines.classification.probe import Head
from pipelines.classification.select import Selection
from pipelines.config import StudyConfig
from pipelines.pretraining.encoder import Encoder
from pipelines.segmentation.segment import model_id
from pipelines.training import seen
from storage.atomic import write_bytes, write_json
from storage.errors import InputError

_VERSIONS = ("radmill", "numpy", "scikit-learn", "timm", "torch")

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class FinishedModel(Description):
    """The head of a finished model and its settings; segmenter and encoder are read from its folder."""

    head: Head
    chosen: Selection

    @classmethod
    def load(cls, folder: Path) -> FinishedModel:
        """Read a folder that `classify` wrote; InputError where no finished model is in it."""
        described = Description.read(folder)
        layer = read_part(folder, "head")[1]
        try:
            return cls(
                **vars(described),
                head=Head(
                    weight_D=layer["weight"].numpy(),
                    bias=float(layer["bias"]),
                    mean_RD=layer["mean"].numpy(),
                    scale_RD=layer["scale"].numpy(),
                ),
                chosen=Selection(**described.fitted),
            )
        except (KeyError, TypeError) as error:
            raise InputError(
                f"{folder} holds no finished model that this version can read; classify again."
            ) from error


def check_segmenter(segmenter: Path, segmentation_id: str) -> None:
    """Raise InputError unless the segmentation is by this segmenter: a finished model keeps the one it learnt by."""
    own = model_id(segmenter)
    if own != segmentation_id:
        raise InputError(
            f"{segmenter} holds segmenter {own}, but the films were segmented by {segmentation_id}; run "
            f"radmill segment with model={segmenter}, or classify with the segmenter {segmentation_id}."
        )


def write_model(
    folder: Path,
    segmenter: Path,
    encoder: Path,
    head: Head,
    chosen: Selection,
    config: ClassificationConfig,
    study: StudyConfig,
    films: pd.DataFrame,
) -> None:
    """Write the finished model. films: the manifest's rows of the subjects that it was trained on."""
    parts = {name: read_part(path, name) for name, path in (("segmenter", segmenter), ("encoder", encoder))}
    layer: Tensors = {
        "weight": torch.from_numpy(head.weight_D),
        "bias": torch.tensor(head.bias, dtype=torch.float64),
        "mean": torch.from_numpy(head.mean_RD),
        "scale": torch.from_numpy(head.scale_RD),
    }
    parts["head"] = asdict(chosen), layer
    document: dict[str, Any] = {
        "format": FORMAT,
        "kind": KIND,
        "study": asdict(study),
        "classification": asdict(config),
        "trained_on": {
            "data_kind": sorted(set(films["data_kind"])),
            "films": len(films),
            **seen.written(films),
        },
        seen.SECTION: {
            name: seen.seen_by(path, name) for name, path in (("segmenter", segmenter), ("encoder", encoder))
        },
        "versions": {package: version(package) for package in _VERSIONS},
    }
    tensors: Tensors = {}
    for name, (settings, own) in parts.items():
        document[name] = settings
        tensors |= {f"{name}.{key}": value for key, value in own.items()}
    write_bytes(folder / "model.safetensors", save(tensors))
    write_json(folder / "model.json", document)


def read_part(folder: Path, name: str) -> tuple[dict[str, Any], Tensors]:
    """Settings and tensors, without prefix, of one part of a model, be it alone in its folder or not."""
    try:
        settings: dict[str, Any] = json.loads((folder / "model.json").read_text("utf-8"))[name]
        tensors = load_file(folder / "model.safetensors")
    except FileNotFoundError as error:
        raise InputError(
            f"{folder} must hold the {name}, but has no {Path(error.filename or 'model.safetensors').name}."
        ) from error
    except (json.JSONDecodeError, KeyError, TypeError, SafetensorError) as error:
        raise InputError(f"{folder} holds no {name} that this version can read; train it again.") from error
    prefix = f"{name}."
    own = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
    return settings, own or tensors


def load_encoder(folder: Path, device: torch.device) -> Encoder:
    """The encoder in a folder of the stage pretrain, or in a finished model."""
    settings, tensors = read_part(folder, "encoder")
    return Encoder(str(settings["backbone"]), tensors, device)
