"""The Parquet tables beside the page: all rows, where the page may show the first ones only."""

from __future__ import annotations

from pathlib import Path

from pipelines.reporting.collect import Inputs
from storage.schemas import EXAMS, EXCLUSIONS, FILM_INDEX, REGIONS, SUBJECTS
from storage.tables import empty, write_table


def write_tables(inputs: Inputs, folder: Path) -> None:
    """Write subjects, regions, films and exclusions, even without rows: a reader finds what it expects."""
    films = inputs.segmentation.films if inputs.segmentation else empty(FILM_INDEX)
    write_table(folder / "subjects.parquet", inputs.subjects, SUBJECTS)
    if inputs.study.unit == "exam":
        write_table(folder / "exams.parquet", inputs.exams, EXAMS)
    write_table(folder / "regions.parquet", inputs.regions, REGIONS)
    write_table(folder / "films.parquet", films, FILM_INDEX)
    write_table(folder / "exclusions.parquet", inputs.store.all_exclusions, EXCLUSIONS)
