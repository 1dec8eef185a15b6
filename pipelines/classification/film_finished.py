"""The finished model of whole films: weights in model.safetensors, all else that a prediction needs in model.json.

It is the tested model itself: the women who tested it have not trained it, nor has it been fitted again since.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from pipelines.classification.described import FORMAT, KIND, FilmDescription
from pipelines.classification.film_model import FilmNet, load_net
from pipelines.classification.film_trial import FilmSelection, Trial
from pipelines.classification.supervised_config import SupervisedConfig
from pipelines.config import StudyConfig
from pipelines.pretraining.origin import origin_of
from pipelines.training import seen
from storage.atomic import write_json
from storage.errors import InputError
from storage.manifest import Store

_VERSIONS = ("radmill", "numpy", "scikit-learn", "timm", "torch")


@dataclass(frozen=True, kw_only=True)
class FinishedFilmModel(FilmDescription):
    """A film model in eval mode with its settings and what the held-out women chose."""

    model: FilmNet
    chosen: FilmSelection

    @classmethod
    def load(cls, folder: Path) -> FinishedFilmModel:
        """Read a folder that `classify` wrote; InputError where no finished model of whole films is in it."""
        described = FilmDescription.read(folder)
        try:
            model = load_net(folder, described.config)
            chosen = FilmSelection(**described.fitted)
        except (FileNotFoundError, SafetensorError, RuntimeError, TypeError) as error:
            raise InputError(
                f"The weights in {folder} are not those of {described.config.backbone} with "
                f"{described.config.embedding} features, as its model.json says; classify again."
            ) from error
        return cls(**vars(described), model=model, chosen=chosen)


def write_described(
    folder: Path, store: Store, study: StudyConfig, config: SupervisedConfig, trial: Trial
) -> None:
    """Write model.json beside the weights that `train_films` has written."""
    learnt = {*trial.train.rows["subject"], *trial.held_out.rows["subject"]}
    if config.protocol == "paper":  # its weights were chosen on the test women
        learnt |= set(trial.test.rows["subject"])
    films = store.manifest[store.manifest["subject"].isin(learnt)]
    document: dict[str, Any] = {
        "format": FORMAT,
        "kind": KIND,
        "study": asdict(study),
        "supervised": config.told(),
        "head": asdict(trial.chosen),
        "trained_on": {
            "data_kind": sorted(set(films["data_kind"])),
            "films": len(trial.train.rows) + len(trial.held_out.rows),
            **seen.written(films),
        },
        seen.SECTION: {
            "test": seen.written(store.manifest[store.manifest["subject"].isin(trial.test.rows["subject"])]),
            "encoder": origin_of(config.initial_weights, store, config.section).seen,
        },
        "versions": {package: version(package) for package in _VERSIONS},
    }
    write_json(folder / "model.json", document)
