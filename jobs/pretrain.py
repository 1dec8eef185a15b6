"""Pretraining on the region crops: one encoder for all, or one for every fold, which learns from its training part."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.config import Settings
from jobs.flow import Flow
from jobs.folders import held, initial_weights, opened_store, regions_id, segmentation_id
from jobs.run_dir import StageFolder
from jobs.training import asked_workers, one_ray, run_training
from pipelines.progress import Progress
from storage.errors import ConfigError, InputError

if TYPE_CHECKING:
    from pipelines.classification.rounds import Round
    from storage.manifest import Store


def check(settings: Settings) -> None:
    """There is a store, this run has segmented it, and what the method learns from is there."""
    from pipelines.classification.labelled import subject_outcomes
    from pipelines.segmentation.stored import open_segmentation

    check_method(settings)
    store = opened_store(settings)
    if settings.pretraining.method == "supcon" and not subject_outcomes(store, settings.study):
        raise InputError(_without_outcomes(f"store={store.root} has none"))
    open_segmentation(store.root, segmentation_id(Path(str(settings.out))))


def check_method(settings: Settings) -> None:
    """ConfigError where supcon could have no outcomes to learn from, or is not what pretrains whole films."""
    if settings.pretraining.method != "supcon":
        return
    if settings.study.whole_films:
        raise ConfigError(
            f"The study {settings.study.name} reads whole films and has no stage pretrain; set supervised.supcon=true "
            "instead of pretraining.method=supcon."
        )
    if settings.population == "child":
        raise ConfigError(_without_outcomes("population=child has none to predict"))
    if (
        settings.raw is not None
        and settings.outcomes is None
        and not _has_outcomes(Path(str(settings.store)))
    ):
        raise ConfigError(_without_outcomes("outcomes=FILE is not given"))


def by_round(settings: Settings) -> bool:
    """Whether every fold gets an encoder of its own: SupCon's learns from its training subjects' outcomes, and by
    the paper's protocol every method's from their images."""
    chosen = settings.pretraining
    if chosen.method == "supcon":
        return True
    paper = settings.splits.protocol == "paper" and settings.population == "adult"
    return paper and chosen.method != "none" and chosen.subjects == "without_outcome"


def check_backbone(settings: Settings) -> None:
    """ConfigError where timm has no such model: said before the segmenter trains, not after. Imports torch."""
    from pipelines.pretraining.backbone import build_backbone

    section = "supervised" if settings.study.whole_films else "pretraining"
    build_backbone(getattr(settings, section).backbone, section=section)


def _has_outcomes(store: Path) -> bool:
    """Whether an earlier ingest has left outcomes, which count until it is given others."""
    from storage.manifest import Store

    return (store / "store.json").is_file() and not Store.open(store).outcomes.empty


def _without_outcomes(why: str) -> str:
    return f"pretraining.method=supcon learns from outcomes, but {why}; use simclr, swav or vicreg."


def main(settings: Settings) -> int:
    """`radmill pretrain store=DIR out=DIR method=simclr`."""
    store, out = Path(str(settings.store)), Path(str(settings.out))
    with held("pretrain", out, store):
        pretrain(Flow(out, settings), store)
    return 0


def pretrain(flow: Flow, store_root: Path) -> StageFolder:
    """OUT/pretrain/model.safetensors: the encoder; by rounds the finished model's, beside one for every fold."""
    from storage.manifest import Store

    settings, store = flow.settings, Store.open(store_root)
    model_id = regions_id(settings.pretraining.regions, flow.out)
    inputs = {"store": store.fingerprint(), "segmentation": model_id} | asked_workers(settings)
    inputs |= initial_weights(settings.pretraining.initial_weights)
    if by_round(settings) and (settings.pretraining.method == "supcon" or not store.outcomes.empty):
        inputs["outcomes"] = store.outcomes_fingerprint()

        def action(folder: Path, progress: Progress) -> str:
            return _every_round(settings, store, model_id, folder, progress)

        return flow.stage("pretrain", sections=("pretraining", "splits"), inputs=inputs, action=action)

    def alone(folder: Path, progress: Progress) -> str:
        read = {"store": str(store.root), "segmentation": model_id}
        return _told(run_training("pretrain", settings, folder, progress, **read))

    return flow.stage("pretrain", sections=("pretraining",), inputs=inputs, action=alone)


def _every_round(settings: Settings, store: Store, model_id: str, folder: Path, progress: Progress) -> str:
    """An encoder for every fold, then the finished model's; those that are there already are kept."""
    from pipelines.classification.labelled import subject_outcomes
    from pipelines.classification.supervision import pretraining_rounds

    outcomes = subject_outcomes(store, settings.study)
    rounds = pretraining_rounds(store, settings.splits, outcomes, settings.pretraining.method)
    with one_ray("pretrain", settings):
        for done, one in enumerate(rounds):

            def of_all(step: int, steps: int, note: str, done: int = done) -> None:
                note = f"encoder {done + 1} of {len(rounds)}, {note}"
                progress(done * steps + step, len(rounds) * steps, note)

            _one_round(settings, store, model_id, folder, one, of_all)
    described = [_described(folder, one) for one in rounds]
    warned = sum(bool(figures["warning"]) for figures in described)
    said = f"; {warned} with a warning in their model.json" if warned else ""
    return (
        f"{len(rounds)} encoders, one for every fold and one for all{said}; the last: {_told(described[-1])}"
    )


def _one_round(
    settings: Settings, store: Store, model_id: str, folder: Path, one: Round, progress: Progress
) -> None:
    """The round's encoder in its folder, unless it is there; its checkpoints go once it is."""
    from pipelines.classification.supervision import encoder_folder, write_subjects
    from storage.atomic import remove_folder

    encoder = encoder_folder(folder, one)
    if not (encoder / "model.json").is_file():  # which a training writes last
        read = {"store": str(store.root), "segmentation": model_id}
        read["learnt_from"] = str(write_subjects(encoder, one).resolve())
        run_training("pretrain", settings, folder, progress, str(encoder.relative_to(folder)), **read)
    remove_folder(encoder / "checkpoints")


def _described(folder: Path, one: Round) -> dict[str, Any]:
    from pipelines.classification.supervision import encoder_folder

    written = json.loads((encoder_folder(folder, one) / "model.json").read_text("utf-8"))
    return dict(written["training"])


def _told(figures: dict[str, Any]) -> str:
    if "loss" not in figures:
        return "an encoder as it was initialised, a control"
    return f"{figures['crops']:,.0f} crops, {figures['steps']:,.0f} steps, loss {figures['loss']:.3f}"
