"""A cohort of hysterosalpingographies on disk, as a hospital would hand it over, and the truth beside it.

OUT/phantoms.json                    the configuration; a folder belongs to one cohort
OUT/films/<woman>/<woman>-e1-s1.dcm  spots; -l.dcm a fluoroscopic loop; -c.dcm a secondary capture
OUT/outcomes.csv                     patient_id, exam (study UID), right, left, occlusion, age_years, sex
OUT/frames.csv                       an ingest.overrides table: the two spots in the middle of each exam, no others
OUT/masks/<film>[-<frame>].png       1 right tube, 2 left tube, 3 right fimbria, 4 left fimbria
OUT/annotations/<film>.truth.png     the same as one class, of spots: an ingest reads it beside the films
OUT/films.csv                        every frame: time, filling, oracles of film and exam, area of contrast
OUT/truth/                           rows of films.csv by exam; a file here says that the exam is complete
OUT/oracle.json                      the best AUC on one film and on an exam's two, the area's, shares per kind; last

effect=null gives every exam the outcome of another one: no film tells anything.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pipelines.phantoms.cohort import SUBJECTS_PER_TASK, CohortSummary, claim, csv_text
from pipelines.phantoms.config import PhantomsConfig
from pipelines.phantoms.hsg.case import SECOND_EXAM, Exam, draw_exam
from pipelines.phantoms.hsg.dicom import Taken, exam_uid, phantom_object
from pipelines.phantoms.hsg.filling import filling
from pipelines.phantoms.hsg.film import Film, Scene
from pipelines.phantoms.hsg.oracle import clustered_auc, exam_oracle, film_oracle, middle_two
from pipelines.progress import Progress, silent
from storage.atomic import write_bytes, write_json, write_text
from storage.codec import encode_png
from storage.errors import ConfigError

Row = dict[str, Any]
# what differs from the hand's cohorts, each with the only value there is
_FIXED = {"population": "adult", "format": "dicom", "appearance": "clinic"}
AGES = (24, 43)
_EXAM, _LABEL, _HEADER = 101, 102, 103  # purposes of random streams


def check_config(config: PhantomsConfig) -> None:
    """ConfigError where the configuration asks for what these phantoms are not."""
    for key, value in _FIXED.items():
        if getattr(config, key) != value:
            raise ConfigError(f"phantoms.{key} must be {value} for study=hsg, but is {getattr(config, key)}.")


def exams_of(config: PhantomsConfig, number: int) -> list[Exam]:
    """The exams of woman `number`: one, or two."""
    rng = np.random.default_rng([config.seed, number, _EXAM])
    first = draw_exam(rng, str(config.effect))
    return [first, draw_exam(rng, str(config.effect), first)] if rng.random() < SECOND_EXAM else [first]


def scene_of(config: PhantomsConfig, number: int, order: int) -> Scene:
    """Exam `order` of woman `number`, ready to be filmed; a film is config.height pixels square."""
    return Scene(exams_of(config, number)[order], (config.seed, number, order), config.height)


def told(config: PhantomsConfig, number: int, order: int) -> Exam:
    """The exam whose outcome is told: itself, under effect=null one that nobody filmed."""
    if config.effect == "null":
        return draw_exam(np.random.default_rng([config.seed, number, order, _LABEL]), "null")
    return exams_of(config, number)[order]


def write_cohort(
    out: Path, config: PhantomsConfig, processes: int = 1, progress: Progress = silent
) -> CohortSummary:
    """Write a cohort; exams that are complete stay, so a killed run is continued.

    Raises ConfigError where `out` holds another cohort.
    """
    check_config(config)
    claim(out, config, study="hsg")
    for name in ("masks", "truth"):
        (out / name).mkdir(exist_ok=True)
    total = config.subjects + config.unlabelled
    rows: list[Row] = []
    written = 0
    for done, (own, wrote) in enumerate(_each_woman(out, config, total, processes), start=1):
        rows, written = rows + own, written + wrote
        progress(done, total, f"{len(rows)} frames")
    _ask_oracles(rows, config)
    write_text(out / "films.csv", _table(rows))
    write_text(out / "outcomes.csv", _outcomes(config))
    write_text(out / "frames.csv", _overrides(rows))
    annotators = csv_text([("annotator", "weight", "tool"), ("truth", 0.0, "phantom")])
    write_text(out / "annotations" / "annotators.csv", annotators)
    oracle = _oracle(rows, config)
    write_json(out / "oracle.json", oracle)
    return CohortSummary(
        subjects=total, labelled=config.subjects, films=len(rows), written=written, oracle=oracle["oracle"]
    )


def _each_woman(
    out: Path, config: PhantomsConfig, total: int, processes: int
) -> Iterator[tuple[list[Row], int]]:
    if processes <= 1:
        yield from (write_woman(out, config, number) for number in range(total))
        return
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        yield from pool.map(
            write_woman, [out] * total, [config] * total, range(total), chunksize=SUBJECTS_PER_TASK
        )


def write_woman(out: Path, config: PhantomsConfig, number: int) -> tuple[list[Row], int]:
    """Write the missing exams of one woman; return a row per frame and how many frames were written now."""
    cv2.setNumThreads(0)
    rows: list[Row] = []
    written = 0
    for order in range(len(exams_of(config, number))):
        done = out / "truth" / f"{patient_id(config, number)}-e{order + 1}.json"
        if not done.exists():
            made = _write_exam(out, config, number, order)
            written += len(made)
            write_json(done, made)
        rows += json.loads(done.read_text())
    return rows, written


def patient_id(config: PhantomsConfig, number: int) -> str:
    """Of woman `number`."""
    return f"PHANTOM-HSG-{config.seed}-{number:05d}"


def header_of(config: PhantomsConfig, number: int, order: int, scene: Scene) -> Taken:
    """What all objects of an exam have in common."""
    rng = _person(config, number)
    age, year, modality = (
        int(rng.integers(*AGES)),
        int(rng.integers(2003, 2022)),
        str(rng.choice(["XA", "RF"])),
    )
    return Taken(
        patient_id=patient_id(config, number),
        age_years=age + order,
        exam=order + 1,
        day=f"{year + order}{int(rng.integers(1, 13)):02d}{int(rng.integers(1, 29)):02d}",
        clock="",
        number=0,
        modality=modality,
        spacing_mm=scene.mm,
        room=scene.room,
    )


def _person(config: PhantomsConfig, number: int) -> np.random.Generator:
    """What a header says of a woman beyond her films; the age comes first."""
    return np.random.default_rng([config.seed, number, _HEADER])


def _write_exam(out: Path, config: PhantomsConfig, number: int, order: int) -> list[Row]:
    """Every object of one exam, its masks, and its rows."""
    scene = scene_of(config, number, order)
    header = header_of(config, number, order, scene)
    stem = f"{header.patient_id}-e{order + 1}"
    folder = out / "films" / header.patient_id
    folder.mkdir(parents=True, exist_ok=True)
    films = [scene.film(place, moment) for place, moment in enumerate(scene.moments())]
    spots = [film for film in films if not film.moment.loop]
    objects = [(f"{stem}-s{place + 1}", [film], False) for place, film in enumerate(spots)]
    if loop := [film for film in films if film.moment.loop]:
        objects.append((f"{stem}-l", loop, False))
    if scene.exam.capture:
        objects.append((f"{stem}-c", [spots[len(spots) // 2]], True))
    rows = []
    for place, (name, frames, capture) in enumerate(objects):
        clock = _clock(frames[0].moment.time)
        taken = replace(header, clock=clock, number=place, capture=capture)
        for frame, film in enumerate(frames):
            suffix = f"-{frame + 1:02d}" if len(frames) > 1 else ""
            write_bytes(out / "masks" / f"{name}{suffix}.png", encode_png(film.truth_HW))
            rows.append(
                _row(config, f"{header.patient_id}/{name}.dcm", frame, film, scene.exam, taken, capture)
            )
        if len(frames) == 1 and not capture:
            mask = encode_png((frames[0].truth_HW > 0).astype(np.uint8))
            write_bytes(out / "annotations" / f"{name}.truth.png", mask)
        write_bytes(folder / f"{name}.dcm", phantom_object([film.pixels for film in frames], taken))
    return rows


def _clock(time: float) -> str:
    """Ten o'clock and the seconds since; injection takes five minutes."""
    seconds = 60 + round(300 * max(time, -0.2))
    return f"10{seconds // 60:02d}{seconds % 60:02d}"


def _row(
    config: PhantomsConfig, path: str, frame: int, film: Film, exam: Exam, taken: Taken, capture: bool
) -> Row:
    now = film.now
    return {
        "path": path,
        "frame": frame + 1,
        "patient_id": taken.patient_id,
        "exam": exam_uid(taken.patient_id, taken.exam),
        "object": "capture" if capture else "loop" if film.moment.loop else "spot",
        "name": film.moment.name,
        "time": now.time,
        "kind": exam.kind,
        "occluded": -1 if exam.occluded is None else exam.occluded,
        "right_front": round(now.front[0], 4),
        "left_front": round(now.front[1], 4),
        "right_near": round(now.near[0], 4),
        "left_near": round(now.near[1], 4),
        "contrast_mm2": round(film.contrast_mm2, 1),
        "middle": int(not capture and not film.moment.loop and now.time in middle_two(exam.times)),
    }


def _ask_oracles(rows: list[Row], config: PhantomsConfig) -> None:
    """Add oracle (of the film; empty for a loop's frames) and oracle_exam (of its exam's two in the middle)."""
    exams = {
        exam_uid(patient_id(config, number), order + 1): exam
        for number in range(config.subjects + config.unlabelled)
        for order, exam in enumerate(exams_of(config, number))
    }
    effect = str(config.effect)
    by_exam = dict(zip(exams, exam_oracle(list(exams.values()), effect), strict=True))
    single = [row for row in rows if row["name"] != "loop"]
    seen = [(exams[row["exam"]], filling(exams[row["exam"]], row["time"])) for row in single]
    for row in rows:
        row |= {"oracle": "", "oracle_exam": round(float(by_exam[row["exam"]]), 5)}
    for row, probability in zip(single, film_oracle(seen, effect), strict=True):
        row["oracle"] = round(float(probability), 5)


def _outcomes(config: PhantomsConfig) -> str:
    rows: list[tuple[object, ...]] = [
        ("patient_id", "exam", "right", "left", "occlusion", "age_years", "sex")
    ]
    for number in range(config.subjects):
        for order in range(len(exams_of(config, number))):
            exam = told(config, number, order)
            given = "" if exam.occluded is None else exam.occluded
            who = (patient_id(config, number), exam_uid(patient_id(config, number), order + 1))
            age_years = int(_person(config, number).integers(*AGES)) + order
            rows.append((*who, exam.right.state, exam.left.state, given, age_years, "F"))
    return csv_text(rows)


def _overrides(rows: list[Row]) -> str:
    """Everything out but the two in the middle."""
    lines: list[tuple[object, ...]] = [("path", "frames", "exclude"), ("*", "", "yes")]
    return csv_text([*lines, *((row["path"], row["frame"], "no") for row in rows if row["middle"])])


def _table(rows: list[Row]) -> str:
    columns = ("path", "frame", *sorted({*rows[0]} - {"path", "frame"}))
    return csv_text([columns, *(tuple(row[name] for name in columns) for row in rows)])


def _oracle(rows: list[Row], config: PhantomsConfig) -> dict[str, Any]:
    """On the two films in the middle of each exam with a known outcome: oracle, area of contrast, kinds."""
    known = [row for row in rows if row["middle"]]
    outcomes = _told_outcomes(config)
    known = [row for row in known if outcomes.get(row["exam"]) is not None]
    outcome_N = np.array([outcomes[row["exam"]] == 1 for row in known], bool)
    _, woman_N = np.unique([row["patient_id"] for row in known], return_inverse=True)
    score_N = np.array([float(row["oracle"]) for row in known])
    # nobody knows beforehand which way the area goes, so both ways are said: below .5 is as telling as above
    area_N = np.array([-row["contrast_mm2"] for row in known])
    kinds = {
        kind: {
            "films": sum(row["kind"] == kind for row in known),
            "occluded": sum(outcomes[row["exam"]] or 0 for row in known if row["kind"] == kind),
            "oracle": float(np.mean([row["oracle"] for row in known if row["kind"] == kind])),
        }
        for kind in sorted({row["kind"] for row in known})
    }
    # an exam once: the first of its films stands for it
    first_N = np.unique([row["exam"] for row in known], return_index=True)[1]
    exam_N = np.array([float(row["oracle_exam"]) for row in known])
    both = clustered_auc(outcome_N[first_N], exam_N[first_N], woman_N[first_N], config.seed)
    return {
        "oracle": {"effect": config.effect, **clustered_auc(outcome_N, score_N, woman_N, config.seed)},
        "oracle_exam": both,
        "contrast_area": clustered_auc(outcome_N, area_N, woman_N, config.seed),
        "kinds": kinds,
    }


def _told_outcomes(config: PhantomsConfig) -> dict[str, int | None]:
    """Exam (study UID) -> outcome as the sheet tells it, by rule any_tube."""
    outcomes: dict[str, int | None] = {}
    for number in range(config.subjects):
        for order in range(len(exams_of(config, number))):
            outcomes[exam_uid(patient_id(config, number), order + 1)] = told(config, number, order).occluded
    return outcomes
