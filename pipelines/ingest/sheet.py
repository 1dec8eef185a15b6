"""Tables as hospitals export them: .csv with any separator and encoding, .xlsx with several sheets."""

from __future__ import annotations

import codecs
import csv
import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from pathlib import Path
from types import MappingProxyType

from pipelines.ingest.spreadsheet import Heads, Lines, lines, opened_workbook
from storage.errors import InputError

_MAX_BYTES = 64 * 2**20
_MAX_ROWS = 1_000_000
_BLOCK = 1 << 20
_ZIP, _OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"  # .xlsx; .xls, and .xlsx under a password
_TITLE_LINES = 20  # above the column names: what the table is, who made it
_SEPARATOR_LINE = re.compile(r"sep=(.)")  # how Excel is told


@dataclass(frozen=True, slots=True)
class SheetRow:
    """One line: its number as an editor or a spreadsheet shows it, its cells with any text by column name."""

    line: int
    cells: Mapping[str, str]
    too_long: bool = False  # more cells than columns, as a decimal comma makes between commas

    def get(self, column: str, default: str = "") -> str:
        """The cell's text."""
        return self.cells.get(column, default)


@dataclass(frozen=True, slots=True)
class Sheet:
    """Rows by column name, all text; `what` is the key and path as the user typed them."""

    what: str
    columns: tuple[str, ...]
    rows: list[SheetRow]
    guessed: Mapping[str, str] = field(default_factory=dict)  # needed column -> how the table calls it

    def require(self, column: str) -> None:
        """Raise InputError naming the columns there are, unless the column is one of them."""
        if column not in self.columns:
            raise InputError(
                f"{self.what} has no column {column}; it has {', '.join(self.columns)}. "
                "Rename the column, or name another file."
            )


def read_sheet(
    path: Path,
    key: str,
    needed: Collection[str] = (),
    others: Mapping[str, Collection[str]] = MappingProxyType({}),
) -> Sheet:
    """Read a table with a header line; of a workbook the first sheet that has the needed columns.

    The header is the first of the upper lines that has all needed columns, else the first line.
    others: needed column -> other names that it may have; the table's word is taken where it has one of them alone.
    InputError where it is no table, or lacks a column; `key` is how the user called the file.
    """
    what = f"{key}={path}"
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise InputError(f"{what} is larger than {_MAX_BYTES // 2**20} MB; is it a table of patients?")
        with path.open("rb") as file:
            head = file.read(8)
        if head.startswith(_OLE):
            raise InputError(
                f"{what} is an old spreadsheet, or has a password; save it as .xlsx without one, or as CSV."
            )
        heads = partial(_heads, needed, others)
        if head.startswith(_ZIP):
            return _from_workbook(path, what, needed, others, heads)
        sheet = _table(what, _delimited(path, what, heads), others)
    except OSError as error:
        raise InputError(f"{what} can't be read: {error.strerror}.") from error
    for column in needed:
        sheet.require(column)
    return sheet


def column_name(text: str) -> str:
    """One spelling of a column's name: T-Score, t score and t_score are the same."""
    return re.sub(r"[\s\-]+", "_", unicodedata.normalize("NFKC", text).strip().casefold())


def _heads(needed: Collection[str], others: Mapping[str, Collection[str]], cells: Sequence[str]) -> bool:
    """Whether these cells name all needed columns."""
    names = {column_name(cell) for cell in cells}
    return all(names & {name, *others.get(name, ())} for name in needed)


def _from_workbook(
    path: Path, what: str, needed: Collection[str], others: Mapping[str, Collection[str]], heads: Heads
) -> Sheet:
    with opened_workbook(path, what) as workbook:
        for worksheet in workbook.worksheets:
            columns = _columns(what, next(lines(worksheet, what, heads), (0, []))[1])
            columns, _ = _guessed(columns, others)
            if len(workbook.worksheets) == 1 or (columns and set(needed) <= set(columns)):
                sheet = _table(what, lines(worksheet, what, heads), others)
                break
        else:
            raise InputError(
                f"None of the {len(workbook.worksheets)} sheets of {what} has the columns "
                f"{', '.join(needed)} among its upper lines. Rename the columns, or name another file."
            )
    for column in needed:
        sheet.require(column)
    return sheet


def _table(what: str, numbered: Lines, others: Mapping[str, Collection[str]]) -> Sheet:
    columns: tuple[str, ...] = ()
    guessed: dict[str, str] = {}
    rows: list[SheetRow] = []
    for line, cells in numbered:
        if not columns:
            columns, guessed = _guessed(_columns(what, cells), others)
            continue
        if len(rows) == _MAX_ROWS:
            raise InputError(f"{what} has more than {_MAX_ROWS:,} lines; is it a table of patients?")
        named = {name: text for name, text in zip(columns, cells, strict=False) if name and text}
        rows.append(SheetRow(line, named, any(cells[len(columns) :])))
    if not rows:
        raise InputError(
            f"{what} must hold a line of column names and one line per patient, "
            f"but has {min(len(columns), 1)} lines."
        )
    return Sheet(what, tuple(filter(None, columns)), rows, guessed)


def _guessed(
    columns: tuple[str, ...], others: Mapping[str, Collection[str]]
) -> tuple[tuple[str, ...], dict[str, str]]:
    """The columns under the names that are needed, and which were called otherwise: needed -> the table's word."""
    guessed = {}
    for needed, names in others.items():
        there = [name for name in columns if name in names]
        if needed not in columns and len(there) == 1:
            guessed[needed] = there[0]
    renamed = {typed: needed for needed, typed in guessed.items()}
    return tuple(renamed.get(name, name) for name in columns), guessed


def _columns(what: str, cells: Sequence[str]) -> tuple[str, ...]:
    """Names in place, empty where a column has none; without the nameless ones at the end."""
    columns = [column_name(cell) for cell in cells]
    while columns and not columns[-1]:
        columns.pop()
    named = list(filter(None, columns))
    if len(set(named)) != len(named):
        raise InputError(f"{what} names a column twice: {', '.join(named)}.")
    return tuple(columns)


def _delimited(path: Path, what: str, heads: Heads) -> Lines:
    """Number of the first line, and cells, of every record with any text, from the header on."""
    with path.open(encoding=_encoding(path, what), errors="replace", newline="") as file:
        begun, told = 1, ""
        first = file.readline()
        if match := _SEPARATOR_LINE.fullmatch(first.strip("\r\n")):
            begun, told, first = 2, match[1], file.readline()
        above = [first, *islice(file, _TITLE_LINES)]
        header = _header_line(above, told, heads)
        first = above[header]
        reader = csv.reader(chain(above[header:], file), delimiter=told or _separator(first))
        try:
            before = 0
            for record in reader:
                cells = [cell.strip() for cell in record]
                if any(cells):
                    yield begun + header + before, cells
                before = reader.line_num
        except csv.Error as error:
            raise InputError(f"{what} is not a table: {error}.") from error


def _separator(line: str) -> str:
    return max(";\t,|", key=line.count)


def _header_line(above: Sequence[str], told: str, heads: Heads) -> int:
    """Index of the line with all needed columns, else of the first with any text, else 0."""
    texts = [index for index, line in enumerate(above) if line.strip()]
    for index in texts:
        try:
            if heads(next(csv.reader([above[index]], delimiter=told or _separator(above[index])))):
                return index
        except csv.Error:
            continue  # told where the table is read
    return texts[0] if texts else 0


def _encoding(path: Path, what: str) -> str:
    """UTF-16 by its mark, UTF-8 where every byte fits, else what Windows writes in western Europe."""
    with path.open("rb") as file:
        if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            return "utf-16"
        file.seek(0)
        if any(b"\0" in block for block in iter(partial(file.read, _BLOCK), b"")):
            raise InputError(f"{what} is not a table but binary data; name a .csv or .xlsx file.")
    try:
        with path.open(encoding="utf-8") as text:
            while text.read(_BLOCK):
                pass
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8-sig"
