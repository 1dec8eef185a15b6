"""The contact sheet is a picture of the asked size that says what it shows."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from pipelines.contact_sheet import BAND
from pipelines.phantoms.config import PhantomsConfig
from pipelines.phantoms.preview import CELL_ROWS, write_preview


def test_preview_is_a_grid_of_films(tmp_path: Path) -> None:
    config = PhantomsConfig(height=160, width=128)
    path = write_preview(tmp_path / "sheets" / "adult.png", config, films=5, columns=3)
    with Image.open(path) as sheet:
        assert sheet.crop((0, 0, sheet.width, BAND)).getbbox(), "PHANTOM DATA is missing"
        assert sheet.size == (3 * round(128 * CELL_ROWS / 160), BAND + 2 * CELL_ROWS)
