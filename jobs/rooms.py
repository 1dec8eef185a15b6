"""The keys of each room's section: types, defaults, one-line descriptions. Imports the rooms' configs alone."""

from __future__ import annotations

import ast
import inspect
from dataclasses import dataclass, fields
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, get_type_hints

from jobs.config import Settings


@dataclass(frozen=True)
class Key:
    """One key of a section. type: as the dataclass annotates it; about: one line, empty where nothing is written."""

    name: str
    type: str
    default: object
    about: str


@cache
def keys_of(section: str) -> dict[str, Key]:
    """Name -> key of a section of Settings, in the order of its dataclass."""
    owner: type[Any] = get_type_hints(Settings)[section]
    defaults = owner()
    about: dict[str, str] = {}
    for base in reversed(owner.__mro__[:-1]):
        about |= _docstrings(base)
    return {
        field.name: Key(field.name, str(field.type), getattr(defaults, field.name), about.get(field.name, ""))
        for field in fields(owner)
    }


def _docstrings(owner: type) -> dict[str, str]:
    """Field -> the first sentence of the string that stands below it in the class's source."""
    tree = _parsed(Path(inspect.getfile(owner)))
    body = next(
        node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == owner.__name__
    )
    return {
        field.target.id: _first_sentence(text.value.value)
        for field, text in pairwise(body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


@cache
def _parsed(source: Path) -> ast.Module:
    return ast.parse(source.read_text("utf-8"))


def _first_sentence(text: str) -> str:
    return " ".join(text.split()).split(". ")[0].rstrip(".")
