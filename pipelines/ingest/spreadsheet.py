"""The worksheets of an .xlsx file as lines of text, one at a time; a file that would not end is refused first."""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storage.errors import InputError

if TYPE_CHECKING:
    from openpyxl.workbook.workbook import Workbook

MAX_UNPACKED_BYTES = 128 * 2**20
_MAX_COLUMNS, _MAX_ROWS = 256, 2**20  # of a header line; of a worksheet
_MAX_HEADER_ROW = 100
_EXACT = 10**15  # a spreadsheet keeps 15 digits of a number: longer ones have lost their end
_ZEROS = re.compile("0{2,}")

Lines = Iterator[tuple[int, list[str]]]
Heads = Callable[[Sequence[str]], bool]  # whether these cells are the header


@contextmanager
def opened_workbook(path: Path, what: str) -> Iterator[Workbook]:
    """Yield the workbook, streaming. InputError where it is damaged, no workbook, or unpacks to too much."""
    # The file is ours to close: a reader that fails half-way leaves its own open.
    with path.open("rb") as file:
        with refusing(what):
            with zipfile.ZipFile(file) as archive:
                unpacked = sum(member.file_size for member in archive.infolist())
            if unpacked > MAX_UNPACKED_BYTES:
                raise InputError(
                    f"{what} unpacks to more than {MAX_UNPACKED_BYTES // 2**20} MB; is it a table of patients? "
                    "Save the sheet alone as CSV and name that file."
                )
            from openpyxl import load_workbook

            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about charts and styles, which are not read
                workbook = load_workbook(file, read_only=True, data_only=True, keep_links=False)
        try:
            yield workbook
        finally:
            workbook.close()


@contextmanager
def refusing(what: str) -> Iterator[None]:
    """Turn whatever a reader of untrusted XML raises into a sentence."""
    try:
        yield
    except (InputError, OSError):
        raise
    except Exception as error:
        raise InputError(
            f"{what} is a damaged spreadsheet, or none of kind .xlsx ({type(error).__name__}); "
            "save it as CSV and name that file."
        ) from error


def lines(worksheet: Any, what: str, heads: Heads) -> Lines:
    """Number, from 1, and cells as text of every row with any text, from the header on, which says how wide all are.

    The header is the first of the upper rows that `heads` takes for it, else the first with any text.
    """
    worksheet.reset_dimensions()  # what the file says of its size may be wrong
    with refusing(what):
        upper = list(_rows(worksheet, 1, _MAX_HEADER_ROW, _MAX_COLUMNS))
        if not upper:
            return
        number, row = next((one for one in upper if heads(one[1])), upper[0])
        header = row[: max(place for place, text in enumerate(row, start=1) if text)]
        yield number, header
        yield from _rows(worksheet, number + 1, _MAX_ROWS, len(header))


def _rows(worksheet: Any, first: int, last: int, columns: int) -> Lines:
    rows = worksheet.iter_rows(min_row=first, max_row=last, max_col=columns)
    before = None
    for number, row in enumerate(rows, start=first):
        if row is before:  # rows that the file does not have are one and the same
            continue
        before = row
        texts = [_text(cell) for cell in row]
        if any(texts):
            yield number, texts


def _text(cell: Any) -> str:
    """A cell as the spreadsheet shows it, as far as that matters: whole numbers without .0, days in ISO form."""
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.date().isoformat()
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value).strip()
    if isinstance(value, int) or (value.is_integer() and abs(value) < _EXACT):
        return _padded(int(value), cell)
    return format(value, ".14E" if abs(value) >= _EXACT else ".15g")


def _padded(value: int, cell: Any) -> str:
    """With the leading zeros that a number format such as 000000 shows."""
    shown = ""
    with suppress(IndexError, KeyError, AttributeError):
        shown = str(cell.number_format)
    return str(value).zfill(len(shown)) if _ZEROS.fullmatch(shown) and value >= 0 else str(value)
