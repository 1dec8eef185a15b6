"""Whose films a model has seen in training, as its model.json keeps it: `seen`, by part of a model; imports no torch.

    "seen": {"segmenter": {"subjects": [...], "pixels": [...]}, "encoder": {...}}

A pseudonym differs between stores with other keys, so the films' pixels stand beside it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

SECTION = "seen"
Written = dict[str, list[str]]


@dataclass(frozen=True)
class Seen:
    """Digests of subjects and of films' pixels."""

    subjects: frozenset[str]
    pixels: frozenset[str]

    @classmethod
    def of(cls, written: Mapping[str, Collection[str]]) -> Seen:
        """What `written` made; nobody where nothing was written."""
        return cls(frozenset(written.get("subjects", ())), frozenset(written.get("pixels", ())))

    def of_films(self, films: pd.DataFrame) -> pd.Series[bool]:
        """Which of a manifest's rows are films that it has seen, or of subjects whom it has seen."""
        subjects = films["subject"].map(digest).isin(self.subjects)
        return subjects | films["pixels_sha256"].map(digest).isin(self.pixels)

    def among(self, films: pd.DataFrame) -> int:
        """How many of the subjects of a manifest's rows it has seen, themselves or one of their films."""
        return int(films.loc[self.of_films(films), "subject"].nunique())


def written(films: pd.DataFrame) -> Written:
    """Of a manifest's rows, what model.json keeps of them."""
    return {
        "subjects": sorted(digest(subject) for subject in set(films["subject"])),
        "pixels": sorted(digest(pixels) for pixels in set(films["pixels_sha256"])),
    }


def seen_by(folder: Path, part: str) -> Written:
    """What the model.json in a folder says of a part; nothing where an earlier version wrote it."""
    document: dict[str, Any] = json.loads((folder / "model.json").read_text("utf-8"))
    found: Written = document.get(SECTION, {}).get(part, {})
    return found


def merged(first: Written, second: Written) -> Written:
    """Whoever one of them has seen."""
    parts = sorted(first.keys() | second.keys())
    return {part: sorted({*first.get(part, []), *second.get(part, [])}) for part in parts}


def digest(text: str) -> str:
    """What model.json keeps of a pseudonym: enough to know it again, not to find it elsewhere."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]
