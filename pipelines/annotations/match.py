"""Which mask belongs to which film and annotator, told by file names; the names themselves go no further.

`<film>.<annotator>.png`, where <film> is the film's file name without its ending, alone or with its folders
below raw=. An optional annotators.csv has the columns annotator, weight and tool.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipelines.ingest.decode import Refused
from pipelines.ingest.sheet import read_sheet
from pipelines.ingest.values import number
from storage.errors import InputError
from storage.wording import counted

TRUTH = "truth"  # a phantom's own geometry: a reference, never trained on
ANNOTATORS_FILE = "annotators.csv"
_PLAIN = re.compile(r"a\d{1,3}")
_TOOL = re.compile(r"[A-Za-z0-9_.+-]{1,32}")


@dataclass(frozen=True, slots=True)
class Named:
    """A mask file and what its name says: the film's key and the annotator as the user calls them."""

    name: str
    key: str
    annotator: str


@dataclass(frozen=True, slots=True)
class Annotator:
    """How masks of one annotator count; weight NaN: 1 over the masks of the film that are used."""

    label: str  # a0, a1, ... or truth
    weight: float
    tool: str


def check_any_mask(folder: Path, names: Iterable[str], films: Iterable[str]) -> None:
    """Raise InputError where no file is named after a film: told before any film is decoded.

    Args:
        names: mask files below `folder`, in POSIX form.
        films: the films' paths below raw=.
    """
    masks = [name for name in names if name != ANNOTATORS_FILE]
    by_stem = _by_stem({film: film for film in films})
    if not any(_film_of(name, by_stem) for name in masks):
        raise InputError(
            f"None of the {counted(len(masks), 'file')} below annotations={folder} is named after a film: masks are "
            "called FILM.ANNOTATOR.png, such as 0001.a0.png for the film 0001.dcm."
        )


def match_names(names: Iterable[str], films: Mapping[str, str]) -> tuple[list[Named], dict[str, Refused]]:
    """Match mask files to films.

    Args:
        names: mask files below annotations=, in POSIX form.
        films: the films' paths below raw= -> key.

    Returns:
        the matches, and why each other file has none.
    """
    by_stem = _by_stem(films)
    matches: list[Named] = []
    unmatched: dict[str, Refused] = {}
    taken: set[tuple[str, str]] = set()
    for name in sorted(names):
        found = _film_of(name, by_stem)
        if found is None:
            unmatched[name] = Refused("no_film", "a mask without a film in the store")
        elif len(by_stem[found[0]]) > 1:
            unmatched[name] = Refused("no_film", "a mask whose name fits several films")
        else:
            [key] = by_stem[found[0]]
            if (key, found[1]) in taken:
                unmatched[name] = Refused("duplicate", "a second mask of the same film and annotator")
            else:
                taken.add((key, found[1]))
                matches.append(Named(name, key, found[1]))
    return matches, unmatched


def annotators_of(names: Iterable[str], folder: Path) -> dict[str, Annotator]:
    """Labels, weights and tools by the annotators' own names.

    Names such as a0 and a1 stay; if any other is among them, all become a0, a1, ... in their order. truth
    stays.
    """
    people = sorted(set(names) - {TRUTH})
    plain = all(_PLAIN.fullmatch(name) for name in people)
    labels = {name: name if plain else f"a{index}" for index, name in enumerate(people)} | {TRUTH: TRUTH}
    path = folder / ANNOTATORS_FILE
    given = _given(path) if path.exists() else {}
    known = {name: given.get(name, (math.nan, "")) for name in labels}
    return {
        name: Annotator(labels[name], 0.0 if name == TRUTH else weight, tool)
        for name, (weight, tool) in known.items()
    }


def _by_stem(films: Mapping[str, str]) -> dict[str, set[str]]:
    """Name without its ending, alone and with the folders before it -> keys of the films called so."""
    by_stem: dict[str, set[str]] = defaultdict(set)
    for film, key in films.items():
        path = PurePosixPath(film)
        by_stem[path.with_suffix("").as_posix()].add(key)
        by_stem[path.stem].add(key)
    return by_stem


def _film_of(name: str, by_stem: Mapping[str, object]) -> tuple[str, str] | None:
    """(stem of a film, annotator) for the longest stem that fits; with folders before without."""
    path = PurePosixPath(name)
    parts = path.stem.split(".")
    for count in range(len(parts) - 1, 0, -1):
        stem, annotator = ".".join(parts[:count]), ".".join(parts[count:])
        for candidate in (path.with_name(stem).as_posix(), stem):
            if candidate in by_stem:
                return candidate, annotator
    return None


def _given(path: Path) -> dict[str, tuple[float, str]]:
    sheet = read_sheet(path, "annotators")
    sheet.require("annotator")
    given: dict[str, tuple[float, str]] = {}
    for row in sheet.rows:
        if not (name := row.get("annotator", "")):
            raise InputError(f"{sheet.what} has a line without an annotator; name one, or remove the line.")
        text = row.get("weight", "")
        weight = number(text)
        if text and not weight >= 0:
            raise InputError(f"{sheet.what}: a weight must be a number of at least 0, but one is {text}.")
        tool = row.get("tool", "")
        given[name] = (weight, tool if _TOOL.fullmatch(tool) else "")
    return given
