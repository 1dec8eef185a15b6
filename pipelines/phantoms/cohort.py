"""A whole cohort on disk, as a hospital would hand it over: films, outcomes, annotations, and the oracle.

OUT/phantoms.json             the configuration, written first: a folder belongs to one cohort
OUT/films/<subject>/<stem>    DICOM or PNG
OUT/annotations/              <stem>.<annotator>.png, <stem>.truth.png, annotators.csv
OUT/outcomes.csv              subjects with an outcome (none among children)
OUT/oracle.json               the best AUC that any reader of these films could reach; written last
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np

from pipelines.phantoms.annotators import annotate
from pipelines.phantoms.arrays import Labels
from pipelines.phantoms.config import PhantomsConfig
from pipelines.phantoms.dicom_file import phantom_dicom
from pipelines.phantoms.effects import oracle_auc
from pipelines.phantoms.film import Film, render, subject_of
from pipelines.phantoms.png_file import phantom_png
from pipelines.phantoms.shortcut import shortcut_of
from pipelines.phantoms.streams import Stream, stream
from pipelines.phantoms.subject import SubjectGeometry
from pipelines.progress import Progress, silent
from storage.atomic import write_bytes, write_json, write_text
from storage.codec import encode_png
from storage.errors import ConfigError
from storage.wording import counted

VERSION = 1
SUFFIX = {"dicom": ".dcm", "png": ".png"}
OUTCOME_COLUMNS = ("patient_id", "t_score", "dxa_site", "days", "age_years", "sex", "weight_kg")
SUBJECTS_PER_TASK = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortSummary:
    """What a cohort holds: subjects, subjects with an outcome, films, and films written by this call."""

    subjects: int
    labelled: int
    films: int
    written: int
    oracle: dict[str, float | int | str | None]

    def __str__(self) -> str:
        people = counted(self.subjects, "subject")
        cohort = f"{counted(self.films, 'film')} of {people}, {self.labelled:,} with outcome"
        if self.oracle["auc"] is None:
            return cohort
        return f"{cohort}; oracle AUC {self.oracle['auc']:.3f} ({self.oracle['low']:.3f} to {self.oracle['high']:.3f})"


def write_cohort(
    out: Path, config: PhantomsConfig, processes: int = 1, progress: Progress = silent
) -> CohortSummary:
    """Write a cohort; what is already there stays, so a killed run is continued.

    Raises ConfigError where `out` holds another cohort.
    """
    claim(out, config)
    total = config.subjects + config.unlabelled
    films = written = 0
    for done, (has, wrote) in enumerate(_each_subject(out, config, total, processes), start=1):
        films, written = films + has, written + wrote
        progress(done, total, f"{films} films")
    subjects = [subject_of(config, number) for number in range(total)]
    labelled = [subject for subject in subjects if subject.labelled]
    write_text(out / "annotations" / "annotators.csv", _annotators_csv(config.annotators))
    if labelled:
        write_text(out / "outcomes.csv", _outcomes_csv(labelled))
    oracle = _oracle(labelled, config)
    write_json(out / "oracle.json", oracle)
    return CohortSummary(subjects=total, labelled=len(labelled), films=films, written=written, oracle=oracle)


def claim(out: Path, config: PhantomsConfig, **more: str) -> None:
    """Write phantoms.json, or check that the folder belongs to this very cohort."""
    wanted = {"version": VERSION, "data_kind": "phantom", **asdict(config), **more}
    path = out / "phantoms.json"
    if path.exists():
        present = json.loads(path.read_text())
        changed = sorted(key for key in wanted if present.get(key) != wanted[key])
        if changed:
            raise ConfigError(
                f"{out} holds a phantom cohort of another configuration (different: {', '.join(changed)}): "
                "choose another out or remove the folder."
            )
        return
    (out / "films").mkdir(parents=True, exist_ok=True)
    (out / "annotations").mkdir(exist_ok=True)
    write_json(path, wanted)


def _each_subject(out: Path, config: PhantomsConfig, total: int, processes: int) -> Iterator[tuple[int, int]]:
    if processes <= 1:
        yield from (write_subject(out, config, number) for number in range(total))
        return
    # spawn: a fork would copy the threads of whatever library the caller has loaded
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        jobs = ([out] * total, [config] * total, range(total))
        yield from pool.map(write_subject, *jobs, chunksize=SUBJECTS_PER_TASK)


def write_subject(out: Path, config: PhantomsConfig, number: int) -> tuple[int, int]:
    """Write the missing films of one subject; return how many it has and how many were written now."""
    cv2.setNumThreads(0)
    subject = subject_of(config, number)
    folder = out / "films" / subject.patient_id
    folder.mkdir(exist_ok=True)
    written = 0
    for order in range(len(subject.sides)):
        stem = f"{subject.patient_id}-{order + 1}"
        film_path = folder / f"{stem}{SUFFIX[config.format]}"
        # the film is written after its masks, so its presence says that all are there
        if film_path.exists():
            continue
        film = render(subject, order, config)
        for annotator, mask_HW in _masks(film, subject, order, config).items():
            write_bytes(out / "annotations" / f"{stem}.{annotator}.png", encode_png(mask_HW))
        write_bytes(film_path, _encoded(film, subject, order, config.format))
        written += 1
    return len(subject.sides), written


def _masks(film: Film, subject: SubjectGeometry, order: int, config: PhantomsConfig) -> dict[str, Labels]:
    rng = stream(config.seed, subject.number, order, Stream.ANNOTATORS)
    length_px = subject.metacarpal3_mm / film.spacing_mm
    drawn = annotate(rng, film.truth_HW, film.doubt_HW, config.annotators, length_px)
    return {**{f"a{i}": mask_HW for i, mask_HW in enumerate(drawn)}, "truth": film.truth_HW}


def _encoded(film: Film, subject: SubjectGeometry, order: int, kind: str) -> bytes:
    if kind == "dicom":
        return phantom_dicom(film, subject, order)
    # PNG has no photometric tag: such exports are brighter where more is attenuated
    top = 2**film.bits - 1
    pixels = top - film.pixels if film.photometric == "MONOCHROME1" else film.pixels
    return phantom_png(pixels, subject.patient_id, film.laterality)


def _outcomes_csv(labelled: list[SubjectGeometry]) -> str:
    rows = [
        (s.patient_id, f"{s.health.t_score:.2f}", s.dxa_site, s.dxa_days, s.age_years, s.sex, s.weight_kg)
        for s in labelled
    ]
    return csv_text([OUTCOME_COLUMNS, *rows])


def _annotators_csv(annotators: int) -> str:
    rows = [(f"a{i}", 1 / annotators, "phantom") for i in range(annotators)]
    return csv_text([("annotator", "weight", "tool"), *rows, ("truth", 0.0, "phantom")])


def csv_text(rows: list[tuple[object, ...]]) -> str:
    """Rows as CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _oracle(labelled: list[SubjectGeometry], config: PhantomsConfig) -> dict[str, float | int | str | None]:
    index_n = np.array([s.health.cortical_index for s in labelled])
    # the outcome follows the T-score as the CSV gives it
    t_score_n = np.round(np.array([s.health.t_score for s in labelled]), 2)
    seed = int(stream(config.seed, 0, 0, Stream.OUTCOME).integers(2**31))
    told = {"effect": config.effect, **oracle_auc(index_n, t_score_n, seed)}
    if config.shortcut == "none" or told["auc"] is None:
        return told
    sign_n = np.array([shortcut_of(s, config).sign for s in labelled])
    # as the index does, the sign stands for health where it is low
    return told | {
        "shortcut": config.shortcut,
        "shortcut_auc": oracle_auc(-1.0 * sign_n, t_score_n, seed)["auc"],
    }
