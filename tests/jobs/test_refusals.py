"""What a job refuses before it starts: plan foresees it in the same words, and nothing is left behind."""

import json
import os
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from jobs.__main__ import main, system_said
from pipelines.config import StudyConfig
from pipelines.training.seen import digest
from storage.manifest import Store

FILMS = "height=96 width=96 annotators=1"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Films, two stores, and runs with models told by their model.json; jobs that refuse read no weights."""
    place = tmp_path_factory.mktemp("place")
    assert main([*f"phantoms out={place}/labelled subjects=6 unlabelled=0 {FILMS}".split()]) == 0
    assert main([*f"phantoms out={place}/bare subjects=0 unlabelled=2 seed=7 {FILMS}".split()]) == 0
    labelled = f"raw={place}/labelled/films outcomes={place}/labelled/outcomes.csv store={place}/store"
    assert main([*f"ingest {labelled} annotations={place}/labelled/annotations".split()]) == 0
    assert main([*f"ingest raw={place}/bare/films store={place}/bare-store".split()]) == 0
    (place / "wrong.csv").write_text("patient_id,score\np1,-2\n")
    for name, steps in (("none", 0), ("many", "many")):
        trials = {"seeds": [1], "seed_keys": ["splits.seed"], "trials": {"pretraining.steps": [steps]}}
        (place / f"{name}.yaml").write_text(json.dumps(trials))
    (place / "empty").mkdir()
    (place / "letters").mkdir()
    (place / "letters" / "letter.dcm").write_text("dear colleague")
    subject = Store.open(place / "store").manifest["subject"].iloc[0]
    study = StudyConfig()
    add_finished(place / "run" / "classify", study, [])
    add_finished(place / "other" / "classify", replace(study, regions=["whole"]), [])
    add_finished(place / "known" / "classify", study, [digest(subject)])
    for run, regions in (("run", study.regions), ("other", ["whole"])):
        add_model(place / run / "train-segmenter", {"segmenter": {"regions": regions}})
    (place / "theirs").mkdir()
    (place / "theirs" / "run.json").write_text('{"job": "run", "study": "hand", "raw": "/a", "store": "/b"}')
    return place


def add_finished(folder: Path, study: StudyConfig, subjects: list[str]) -> None:
    document = {
        "format": 1,
        "kind": "finished",
        "study": asdict(study),
        "classification": {},
        "head": {},
        "encoder": {"method": "simclr"},
        "trained_on": {"subjects": subjects, "pixels": []},
    }
    add_model(folder, document)


def add_model(folder: Path, document: dict[str, object]) -> None:
    folder.mkdir(parents=True)
    (folder / "model.json").write_text(json.dumps(document))
    (folder / "model.safetensors").write_bytes(b"weights")


FORESEEN = [
    (
        "segment store={0}/store out={0}/run cluster=slurm",
        "radmill segment does not take cluster=slurm, only local; radmill run takes every stage there.",
    ),
    ("ingest raw={0}/absent store={0}/new", "raw={0}/absent does not exist; name an existing folder."),
    ("ingest raw={0}/wrong.csv store={0}/new", "raw={0}/wrong.csv is a file; name a folder."),
    ("ingest raw={0}/empty store={0}/new", "raw={0}/empty holds no files; name a folder with films."),
    (
        "ingest raw={0}/bare/films store={0}/new outcomes={0}/absent.csv",
        "outcomes={0}/absent.csv does not exist; name an existing file.",
    ),
    (
        "ingest raw={0}/bare/films store={0}/new outcomes={0}/wrong.csv",
        "outcomes={0}/wrong.csv has no column t_score; it has patient_id, score.",
    ),
    (
        "ingest raw={0}/bare/films store={0}/store key_file={0}/absent.key",
        "{0}/absent.key is missing, the secret behind the pseudonyms in {0}/store: put it back, or name it",
    ),
    (
        "ingest raw={0}/bare/films store={0}/new key_file={0}/wrong.csv",
        "key_file={0}/wrong.csv must hold 64 hexadecimal digits",
    ),
    ("ingest raw={0}/bare/films store={0}/new key_file={0}/new/key", "lies inside the store"),
    ("run raw={0}/absent store={0}/new out={0}/out", "raw={0}/absent does not exist"),
    ("run raw={0}/bare/films store={0}/new out={0}/out", "The films have no masks, so a trained segmenter"),
    (
        "run raw={0}/bare/films store={0}/new out={0}/out outcomes={0}/wrong.csv segmenter={0}/run",
        "outcomes={0}/wrong.csv has no column t_score",
    ),
    (
        "run raw={0}/bare/films store={0}/new out={0}/out segmenter={0}/run",
        "segmenter={0}/run is a run; its model is in segmenter={0}/run/train-segmenter.",
    ),
    (
        "run raw={0}/bare/films store={0}/new out={0}/out segmenter={0}/other/train-segmenter",
        "The segmenter in {0}/other/train-segmenter finds whole, but study.regions is ulna",
    ),
    (
        "run raw={0}/bare/films store={0}/new out={0}/theirs annotations={0}/labelled/annotations",
        "out={0}/theirs belongs to another run",
    ),
    ("demo out={0}/theirs", "out={0}/theirs belongs to another run (job=run, now job=demo)"),
    ("train-segmenter store={0}/absent out={0}/out", "store={0}/absent does not exist"),
    ("train-segmenter store={0}/empty out={0}/out", "{0}/empty is not a store: it has no store.json."),
    ("segment store={0}/store out={0}/out", "{0}/out has no finished stage 'train-segmenter'"),
    ("segment store={0}/store out={0}/out model={0}/run", "is in model={0}/run/train-segmenter."),
    (
        "segment store={0}/store out={0}/out model={0}/run/classify",
        "holds no segmenter this version can read",
    ),
    (
        "run raw={0}/bare/films store={0}/new out={0}/out pretraining.method=supcon",
        "pretraining.method=supcon learns from outcomes, but outcomes=FILE is not given; use simclr",
    ),
    (
        "run raw={0}/bare/films store={0}/new out={0}/out population=child pretraining.method=supcon",
        "learns from outcomes, but population=child has none to predict",
    ),
    (
        "run study=hsg raw={0}/bare/films store={0}/new out={0}/out pretraining.method=supcon",
        "has no stage pretrain; set supervised.supcon=true instead",
    ),
    (
        "pretrain store={0}/bare-store out={0}/out method=supcon",
        "pretraining.method=supcon learns from outcomes, but store={0}/bare-store has none; use simclr",
    ),
    ("sweep sweep=hand_method store={0}/store out={0}/out", "Did you mean sweep=hand_methods?"),
    ("sweep sweep=hsg_losses store={0}/store out={0}/out", "is for study=hsg, but study=hand"),
    (
        "sweep sweep={0}/none.yaml store={0}/store out={0}/out",
        "sweep={0}/none.yaml, trial steps-0: pretraining.steps must be at least 1, but is 0.",
    ),
    (
        "sweep sweep={0}/many.yaml store={0}/store out={0}/out",
        "{0}/many.yaml: pretraining.steps: Value 'many'",
    ),
    ("pretrain store={0}/store out={0}/out", "{0}/out has no finished stage 'segment'"),
    ("classify store={0}/store out={0}/out", "{0}/out has no finished stage 'segment'"),
    (
        "predict model={0}/run store={0}/store out={0}/out",
        "model={0}/run is a run; its model is in model={0}/run/classify.",
    ),
    ("predict model={0}/empty store={0}/store out={0}/out", "{0}/empty holds no finished model"),
    (
        "predict model={0}/run/classify store={0}/store out={0}/out study.body_parts=[foot]",
        "The films of {0}/store show hand, but the study hand reads foot; name another store.",
    ),
    (
        "predict model={0}/run/classify store={0}/store out={0}/out study=hsg",
        "study.name is hsg. Add study=hand.",
    ),
    (
        "predict model={0}/run/train-segmenter store={0}/store out={0}/out",
        "no finished model that this version",
    ),
    ("predict model={0}/other/classify store={0}/store out={0}/out", "has study.regions ['whole']"),
    (
        "evaluate model={0}/run/classify store={0}/bare-store out={0}/out",
        "{0}/bare-store holds no outcome of a subject with a film",
    ),
    ("evaluate model={0}/known/classify store={0}/store out={0}/out", "has learnt from 1 of 6 subjects"),
    ("report store={0}/store out={0}/absent", "out={0}/absent does not exist"),
    ("phantoms preview out={0}/empty", "out={0}/empty must name a PNG file to write"),
    ("phantoms preview out={0}/sheet.txt", "out={0}/sheet.txt must name a PNG file to write"),
]

# What only the work itself finds out.
FOUND_LATE = [
    ("ingest raw={0}/letters store={0}/new", "holds no radiograph that can be used"),
    (
        "train-segmenter store={0}/store out={0}/out/deep",
        "annotated films of at least 2 subjects without outcome",
    ),
    ("phantoms out={0}/wrong.csv", "wrong.csv is a file; name a folder."),
    (
        "run raw={0}/bare/films store={0}/new out={0}/out annotations={0}/labelled/annotations "
        "pretraining.backbone=resnett",
        "pretraining.backbone must be a model of timm (perhaps resnet",
    ),
]


def everything_below(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


@pytest.mark.parametrize(("words", "sentence"), [*FORESEEN, *FOUND_LATE])
def test_a_refusal_is_a_sentence_and_leaves_nothing(
    words: str, sentence: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = everything_below(place)
    assert main(words.format(place).split()) == 2
    told = capsys.readouterr().err
    assert sentence.format(place) in told and len(told.splitlines()) == 1
    assert everything_below(place) == before


@pytest.mark.parametrize(("words", "sentence"), FORESEEN)
def test_plan_foresees_it_in_the_same_words(
    words: str, sentence: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(words.format(place).split())
    told = capsys.readouterr().err
    assert main(["plan", *words.format(place).split()]) == 2
    assert capsys.readouterr() == ("", told)


def test_a_held_folder_leaves_nothing_in_the_other(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from storage.lock import FolderLock

    with FolderLock(place / "bare-store", "radmill ingest"):
        before = everything_below(place)
        words = f"segment store={place}/bare-store out={place}/out model={place}/run/train-segmenter"
        assert main(words.split()) == 1
        assert everything_below(place) == before
    assert "in use by radmill ingest" in capsys.readouterr().err


def test_a_refusal_names_no_file_below_raw(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["ingest", f"raw={place}/letters", f"store={place}/new"])
    assert "letter" not in capsys.readouterr().err.replace(os.fspath(place / "letters"), "")


@pytest.mark.parametrize("word", ["raw={}", "annotations='{}'", "raw={}/../raw/"])
def test_what_the_system_refuses_names_no_file_below_raw(tmp_path: Path, word: str) -> None:
    raw = tmp_path / "raw"
    (raw / "Doe_Jane").mkdir(parents=True)
    words = ["ingest", word.format(raw), f"store={tmp_path}/store"]
    for path in (raw / "Doe_Jane" / "film.dcm", os.fsencode(raw / "Doe_Jane")):
        said = system_said(PermissionError(13, "Permission denied", path), words)
        assert said.startswith("Permission denied (at or below ") and "Doe" not in said
    said = system_said(OSError(f"cannot identify image file '{raw}/Doe_Jane'"), words)
    assert "Doe" not in said
    other = PermissionError(13, "Permission denied", f"{tmp_path}/store/x")
    assert system_said(other, words) == f"Permission denied ({tmp_path}/store/x)"
