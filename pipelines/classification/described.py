"""What a finished model says of itself, and whether it may be used on a store; reads no weights, imports no torch."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pipelines.classification.config import ClassificationConfig
from pipelines.classification.labelled import subject_outcomes
from pipelines.classification.supervised_config import SupervisedConfig
from pipelines.config import StudyConfig
from pipelines.training.seen import SECTION, Seen, digest
from storage.errors import InputError
from storage.manifest import Store

FORMAT = 1
KIND = "finished"
_MET = {
    "encoder": "were among the films that pretrained the encoder, without their outcomes",
    "test": "tested this model in the study that made it",
}
_OTHERS = "evaluate it on others. Its own are predicted in the folds of the stage classify."


@dataclass(frozen=True, kw_only=True)
class Learnt:
    """What every finished model says; `fitted` holds what was chosen on subjects held out of training."""

    study: StudyConfig
    fitted: dict[str, Any]
    method: str
    trained_on: frozenset[str]
    trained_pixels: frozenset[str]
    seen: dict[str, Seen]
    """Whose films the segmenter and the encoder saw, and whose tested a model of whole films."""

    def trained_with(self, subjects: Iterable[str]) -> int:
        """How many of these subjects the classifier has learnt from."""
        return len(self.trained_on & {digest(subject) for subject in subjects})

    def trained_with_films(self, pixels_sha256: Iterable[str]) -> int:
        """How many of these films, whatever their store's key, the classifier has learnt from."""
        return len(self.trained_pixels & {digest(pixels) for pixels in pixels_sha256})


@dataclass(frozen=True, kw_only=True)
class Description(Learnt):
    """model.json of a finished model of regions."""

    config: ClassificationConfig

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read a folder that `classify` wrote; InputError where no finished model is in it."""
        with _readable(folder):
            document = _document(folder)
            return cls(
                **_learnt(document, str(document["encoder"]["method"])),
                config=ClassificationConfig(**document["classification"]),
            )


@dataclass(frozen=True, kw_only=True)
class FilmDescription(Learnt):
    """model.json of a finished model of whole films."""

    config: SupervisedConfig

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read a folder that `classify` wrote; InputError where no finished model of whole films is in it."""
        with _readable(folder):
            document = _document(folder)
            config = SupervisedConfig(**document["supervised"])
            return cls(**_learnt(document, config.method), config=config)


def described(folder: Path) -> Learnt:
    """What a finished model of either kind says; InputError where there is none."""
    with _readable(folder):
        kind: type[Description] | type[FilmDescription] = (
            FilmDescription if "supervised" in _document(folder) else Description
        )
    return kind.read(folder)


def _document(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / "model.json").read_text("utf-8"))
    if (document["format"], document["kind"]) != (FORMAT, KIND):
        raise InputError(
            f"{folder} holds a model of kind {document['kind']} and format {document['format']}, but "
            f"must hold a finished one of format {FORMAT}; name the folder of the stage classify."
        )
    return document


def _learnt(document: dict[str, Any], method: str) -> dict[str, Any]:
    nan = float("nan")  # JSON's null is how NaN was written
    return {
        "study": StudyConfig(**document["study"]),
        "fitted": {name: nan if value is None else value for name, value in document["head"].items()},
        "method": method,
        "trained_on": frozenset(document["trained_on"]["subjects"]),
        "trained_pixels": frozenset(document["trained_on"]["pixels"]),
        "seen": {part: Seen.of(who) for part, who in document.get(SECTION, {}).items()},
    }


@contextmanager
def _readable(folder: Path) -> Iterator[None]:
    """InputError where model.json is absent or not what this version writes."""
    try:
        yield
    except FileNotFoundError as error:
        raise InputError(
            f"{folder} must hold a finished model, but has no {Path(error.filename).name}; the stage "
            "classify makes one."
        ) from error
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{folder} holds no finished model that this version can read; classify again."
        ) from error


def check_study(model: Path, study: StudyConfig) -> None:
    """Raise InputError unless the folder holds a finished model of this study."""
    own_study = described(model).study
    for field in ("name", "regions", "positive"):
        own, asked = getattr(own_study, field), getattr(study, field)
        if own != asked:
            hint = f" Add study={own}." if field == "name" else ""
            raise InputError(
                f"The model in {model} has study.{field} {own}, but study.{field} is {asked}.{hint}"
            )


def check_body_parts(store: Store, study: StudyConfig) -> None:
    """Raise InputError where every film that tells what it shows, shows another part of the body than the study's."""
    told = store.manifest["body_part"]
    told = told[told != ""]
    if study.body_parts and len(told) and not told.isin(study.body_parts).any():
        raise InputError(
            f"The films of {store.root} show {', '.join(sorted(set(told)))}, but the study {study.name} reads "
            f"{', '.join(study.body_parts)}; name another store. Where their headers are wrong, "
            "study.body_parts=[] lets them in."
        )


def outcomes_to_evaluate(model: Path, store: Store, study: StudyConfig) -> dict[str, int]:
    """Subject -> outcome of the store; InputError where there are none, or the model has learnt from its films."""
    outcomes = subject_outcomes(store, study)
    check_unseen(model, store, outcomes)
    return outcomes


def check_unseen(model: Path, store: Store, outcomes: Collection[str]) -> None:
    """InputError where none of the store's subjects has an outcome, or where the model has learnt from their films.

    Classifier and segmenter must never have met who is tested; what else has is `met_before`.
    """
    learnt = described(model)
    if not outcomes:
        raise InputError(
            f"{store.root} holds no outcome of a subject with a film; ingest with outcomes=FILE, "
            "or use radmill predict."
        )
    if known := learnt.trained_with(outcomes):
        raise InputError(
            f"The classifier of the model in {model} has learnt from {known} of {len(outcomes)} subjects with outcome "
            f"in {store.root}; {_OTHERS}"
        )
    films = store.manifest.loc[store.manifest["subject"].isin(outcomes), "pixels_sha256"]
    if known := learnt.trained_with_films(films):
        raise InputError(
            f"The classifier of the model in {model} has learnt from {known} of {len(films)} films of subjects with "
            f"outcome in {store.root}; {_OTHERS}"
        )
    if known := _known(learnt, "segmenter", store, outcomes):
        raise InputError(
            f"The segmenter of the model in {model} has learnt from masks of {known} of {len(outcomes)} subjects with "
            f"outcome in {store.root}, so it draws their bones better than a stranger's; evaluate it on others."
        )


def met_before(model: Path, store: Store, outcomes: Collection[str]) -> list[dict[str, Any]]:
    """Who of the subjects with outcome is no stranger to the model, though it learnt no outcome of theirs.

    A dict per way in which some are: part, subjects, of, and a sentence. Pretraining on their films shows the encoder
    how they look; having tested a model of whole films before, they are no new evidence.
    """
    learnt = described(model)
    return [
        {"part": part, "subjects": known, "of": len(outcomes), "sentence": sentence}
        for part, sentence in _MET.items()
        if (known := _known(learnt, part, store, outcomes))
    ]


def told_of(met: Sequence[Mapping[str, Any]]) -> str:
    """What a stage's line adds of `met_before`; empty where there is nothing."""
    return "".join(
        f"; {one['subjects']} of {one['of']} subjects with outcome {one['sentence']}" for one in met
    )


def _known(learnt: Learnt, part: str, store: Store, outcomes: Collection[str]) -> int:
    if part not in learnt.seen:
        return 0
    return learnt.seen[part].among(store.manifest[store.manifest["subject"].isin(outcomes)])
