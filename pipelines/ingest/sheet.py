"""Tables as hospitals export them: three separators, decimal commas, byte order marks, true minus signs."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from pathlib import Path

from storage.errors import InputError

_MAX_BYTES = 256 * 2**20
_MINUS = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2212\ufe63\uff0d", "-"))


@dataclass(frozen=True, slots=True)
class Sheet:
    """Rows by column name, all text; `what` is the key and path as the user typed them."""

    what: str
    columns: tuple[str, ...]
    rows: list[dict[str, str]]

    def require(self, column: str) -> None:
        """Raise InputError naming the columns there are, unless the column is one of them."""
        if column not in self.columns:
            raise InputError(
                f"{self.what} has no column {column}; it has {', '.join(self.columns)}. "
                "Rename the column, or name another file."
            )


def read_sheet(path: Path, key: str) -> Sheet:
    """Read a table with a header line; names in lower case. InputError where it is none."""
    what = f"{key}={path}"
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise InputError(f"{what} is larger than {_MAX_BYTES // 2**20} MB; is it a table?")
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{what} can't be read: {error.strerror}.") from error
    if data.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise InputError(f"{what} is a spreadsheet file; save it as CSV and name that file.")
    text = _text(data)
    first, _, _ = text.partition("\n")
    delimiter = max(";\t,", key=first.count)
    try:
        lines = [
            line for line in csv.reader(io.StringIO(text), delimiter=delimiter) if any(map(str.strip, line))
        ]
    except csv.Error as error:
        raise InputError(f"{what} is not a table: {error}.") from error
    if len(lines) < 2:
        raise InputError(
            f"{what} must hold a line of column names and one line per patient, but has {len(lines)} lines."
        )
    columns = tuple(name.strip().casefold() for name in lines[0])
    if len(set(columns)) != len(columns):
        raise InputError(f"{what} names a column twice: {', '.join(columns)}.")
    return Sheet(
        what, columns, [dict(zip(columns, map(str.strip, line), strict=False)) for line in lines[1:]]
    )


def number(text: str) -> float:
    """A number as people type it: -2.5, -2,5 or with a typographic minus; NaN where it is none."""
    plain = text.strip().translate(_MINUS).replace("\u00a0", "").replace(" ", "")
    if "," in plain and "." not in plain:
        plain = plain.replace(",", ".")
    try:
        value = float(plain)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def _text(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")
