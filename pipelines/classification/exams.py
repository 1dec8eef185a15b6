"""Exams with an outcome, the films that are read of each, and those films as squares of one size."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.classification.described import check_unseen
from pipelines.classification.labelled import check_rule, outside_population
from pipelines.classification.rows import UNKNOWN
from pipelines.config import WHOLE, StudyConfig
from pipelines.outcomes.tubes import SIDES
from pipelines.pretraining.crops import open_crops
from pipelines.progress import Progress, silent
from pipelines.segmentation.whole import WholeFilms
from storage.errors import InputError
from storage.manifest import Store

ENOUGH = 0.9  # of an exam's most filled film: as full
_FINE, _COARSE = 1.0, 6.0  # sigma in pixels of a square of 96: what contrast is between


@dataclass(frozen=True, slots=True)
class FilmSet:
    """Films N of labelled exams: rows (key, subject, exam, outcome) and images NSS uint8, contrast bright."""

    rows: pd.DataFrame
    images_NSS: NDArray[np.uint8]

    def of(self, subjects: set[str]) -> FilmSet:
        """The films of these subjects."""
        mine_N = self.rows["subject"].isin(subjects).to_numpy()
        return FilmSet(self.rows[mine_N].reset_index(drop=True), self.images_NSS[mine_N])

    @property
    def outcome_N(self) -> NDArray[np.int64]:
        """Of each film: its exam's."""
        return self.rows["outcome"].to_numpy(np.int64)


def labelled_films(store: Store, study: StudyConfig, size: int, progress: Progress = silent) -> FilmSet:
    """The films that study.films chooses of every exam with an outcome, by subject, exam and time.

    Women below study.minimum_age_years are left out. InputError where no exam with an outcome has a film.
    """
    outcomes = exam_outcomes(store, study)
    if not outcomes:
        raise InputError(
            f"No exam in {store.root} has an outcome and a film: the column exam of outcomes= must hold the "
            "study instance UID, and may be empty where a woman has one exam."
        )
    films = read_films(store, study, size, outcomes, progress)
    inside_N = ~films.rows["key"].isin(outside_population(store.manifest, study, "adult", store.outcomes))
    return FilmSet(films.rows[inside_N].reset_index(drop=True), films.images_NSS[inside_N.to_numpy()])


def read_films(
    store: Store,
    study: StudyConfig,
    size: int,
    outcomes: Mapping[tuple[str, str], int],
    progress: Progress = silent,
) -> FilmSet:
    """The films that study.films chooses of these exams, by subject, exam and time."""
    films = store.manifest
    wanted = [pair in outcomes for pair in zip(films["subject"], films["exam"], strict=True)]
    crops = open_crops(store.root, WholeFilms(store), size, progress=progress)
    row_of = {key: row for row, key in enumerate(crops.rows["key"])}
    rows = films[wanted].sort_values(["subject", "exam", "order", "key"])[
        ["key", "subject", "exam", "order", "token"]
    ]

    def shown(rows: pd.DataFrame) -> NDArray[np.uint8]:
        images_NSS, masks_NSS = crops.load(np.array([row_of[key] for key in rows["key"]], np.int64))
        # what a shutter covers, or no film, is black whatever the polarity was
        return upright(images_NSS) * (masks_NSS > 0)

    if study.films == "last_full":
        filled = {key: detail(image) for key, image in zip(rows["key"], shown(rows), strict=True)}
    else:
        filled = {}
    rows = choose_films(rows, study.films, filled)
    rows["outcome"] = [outcomes[pair] for pair in zip(rows["subject"], rows["exam"], strict=True)]
    return FilmSet(rows.drop(columns=["order", "token"]).reset_index(drop=True), shown(rows))


def exam_outcomes(store: Store, study: StudyConfig) -> dict[tuple[str, str], int]:
    """(subject, exam) -> outcome. A row that names no exam belongs to its subject's only one."""
    check_rule(store, study)
    exams = exam_table(store)
    known = exams[exams["outcome"] != UNKNOWN]
    return {
        (str(subject), str(exam)): int(outcome)
        for subject, exam, outcome in zip(known["subject"], known["exam"], known["outcome"], strict=True)
    }


def exams_to_evaluate(model: Path, store: Store, study: StudyConfig) -> dict[tuple[str, str], int]:
    """The same of a store that a finished model meets; InputError where there is none, or the model learnt from it."""
    outcomes = exam_outcomes(store, study)
    check_unseen(model, store, {subject for subject, _ in outcomes})
    return outcomes


def exam_table(store: Store) -> pd.DataFrame:
    """Every exam with a film, by subject and exam: films, outcome (-1: none), right, left (empty: nothing said)."""
    films = store.manifest
    exams = films.groupby(["subject", "exam"], sort=True).agg(films=("key", "size")).reset_index()
    told, _ = _meet(store)
    pairs = list(zip(exams["subject"], exams["exam"], strict=True))
    exams["outcome"] = [int(told[pair]["outcome"]) if pair in told else UNKNOWN for pair in pairs]
    for side in SIDES:
        exams[side] = [str(told[pair][side] or "") if pair in told else "" for pair in pairs]
    return exams


def unmet(store: Store) -> dict[str, int]:
    """Rows of the outcomes that meet no exam with a film, by reason."""
    return dict(_meet(store)[1])


def _meet(store: Store) -> tuple[dict[tuple[str, str], pd.Series[Any]], Counter[str]]:
    """The outcome of every exam that has one, and why the other rows of the outcomes meet none."""
    exams: dict[str, set[str]] = defaultdict(set)
    for subject, exam in zip(store.manifest["subject"], store.manifest["exam"], strict=True):
        exams[subject].add(exam)
    told: dict[tuple[str, str], pd.Series[Any]] = {}
    left_over: Counter[str] = Counter()
    rows = store.outcomes[store.outcomes["outcome"].isin([0, 1])]
    rows = rows.assign(exam=rows["exam"].fillna("")).sort_values("exam", ascending=False, kind="stable")
    for _, row in rows.iterrows():  # those that name an exam come first
        subject, exam, mine = row["subject"], row["exam"], exams[row["subject"]]
        if exam and exam in mine:
            told[subject, exam] = row
        elif exam or not mine:
            left_over["no film of the exam"] += 1
        elif len(mine) > 1:
            left_over["no exam named, and the woman has several"] += 1
        elif (subject, only := next(iter(mine))) in told:
            left_over["its exam has another row"] += 1
        else:
            told[subject, only] = row
    return told, left_over


def choose_films(rows: pd.DataFrame, rule: str, filled: Mapping[str, float]) -> pd.DataFrame:
    """Of rows in the order of time, those that a rule of StudyConfig.films chooses of each exam.

    Frames of a loop stand back where an exam has two spot films or more. filled: key -> how much contrast a film
    shows, for last_full: the last film with nearly the most.
    """
    kept: list[int] = []
    frames = rows.groupby("token")["key"].transform("size")
    for _, exam in rows.groupby(["subject", "exam"], sort=False):
        spots = exam[frames[exam.index] == 1]
        films = spots if len(spots) >= 2 else exam
        count = len(films)
        if rule == "mid2":
            films = films.iloc[max(0, count // 2 - 1) : count // 2 + 1]
        elif rule == "first":
            films = films.iloc[:1]
        elif rule == "last_full":
            amount_F = np.array([filled[key] for key in films["key"]])
            films = films.iloc[[int(np.flatnonzero(amount_F >= ENOUGH * amount_F.max())[-1])]]
        else:
            films = exam
        kept += films.index.tolist()
    return rows.loc[kept].copy()


def upright(images_NSS: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Films with contrast bright: one whose fine structures are rather dark than bright is inverted.

    Contrast medium is the densest thing in the middle of a film, thin and sharp, so the differences to the
    surroundings have a long tail on its side. Fluoroscopy shows it dark without any header saying so.
    """
    turned_NSS = images_NSS.copy()
    for image_SS in turned_NSS:
        if _tail(image_SS) < 0:
            image_SS[:] = 255 - image_SS
    return turned_NSS


def detail(image_SS: NDArray[np.uint8]) -> float:
    """How much fine bright structure a film shows: the mean of positive differences to the surroundings."""
    return float(np.maximum(_differences(image_SS), 0).mean())


def _tail(image_SS: NDArray[np.uint8]) -> float:
    """Third moment of the differences in the middle of a film."""
    return float((_differences(image_SS) ** 3).mean())


def _differences(image_SS: NDArray[np.uint8]) -> NDArray[np.float32]:
    side = len(image_SS)
    scale, margin = side / 96, side // 6
    float_SS = image_SS.astype(np.float32) / 255
    fine_SS = cv2.GaussianBlur(float_SS, (0, 0), _FINE * scale)
    coarse_SS = cv2.GaussianBlur(float_SS, (0, 0), _COARSE * scale)
    middle: NDArray[np.float32] = (fine_SS - coarse_SS)[margin : side - margin, margin : side - margin]
    return middle


def check_whole(study: StudyConfig) -> None:
    """InputError unless the study reads whole films by exam."""
    if not study.whole_films or study.unit != "exam":
        raise InputError(
            f"This reads whole films by exam (study=hsg), but study.regions is {study.regions} (not {WHOLE}) "
            f"and study.unit is {study.unit}."
        )
