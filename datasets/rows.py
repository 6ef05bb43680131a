"""Tables of numbers in text files, as benchmarks and tracking toolkits write them.

One number or box per line; separators are commas, tabs, spaces or a mix; line ends are LF, CRLF or CR; a byte
order mark, blank lines at the end and NaN in any case are welcome. Everything else is refused with the file,
the line, the value and the remedy. Files are parsed in compiled code (`datasets.row_kernel`); only a file
that it refuses is parsed again, slowly, in order to understand or to explain it.
"""

from __future__ import annotations

import codecs
import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from datasets.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from datasets.boxes import Boxes

_SEPARATOR = re.compile(r"[ \t]*,[ \t]*|[ \t]+")
_BOX_REMEDY = "Write one row of numbers per frame, x,y,w,h, or NaN,NaN,NaN,NaN where the target is absent"


def read_bytes(path: Path) -> bytes:
    """The content of a text file without its byte order mark.

    Raises:
        DataError: If there is no such file, or it cannot be read.
    """
    try:
        with path.open("rb", buffering=0) as file:
            data = file.read()
    except FileNotFoundError:
        raise DataError(path, "there is no such file", "Restore it, or exclude the video") from None
    except OSError as error:
        raise DataError(
            path, f"the file cannot be read ({error.strerror})", "Check its permissions"
        ) from error
    return data.removeprefix(codecs.BOM_UTF8)


def read_rows(
    path: Path, columns: int = 4, origin: float = 0.0, remedy: str = _BOX_REMEDY
) -> NDArray[np.float32]:
    """Read a table with `columns` numbers in each row.

    Args:
        path: The text file.
        columns: Numbers per row.
        origin: Subtracted from the first two columns before rounding: 1 for 1-based boxes, else 0.
        remedy: What an error tells the user to do about the file's form.

    Returns:
        float32 (T, columns), T > 0: the numbers nearest to the written ones.

    Raises:
        DataError: If the file is missing, empty, ragged, has another number of columns, or holds words.
    """
    return parse_rows(read_bytes(path), path, columns, origin, remedy)


def parse_rows(
    data: bytes, path: Path, columns: int = 4, origin: float = 0.0, remedy: str = _BOX_REMEDY
) -> NDArray[np.float32]:
    """`read_rows` of a file's content."""
    # Importing numba takes 0.4 s, which commands that read no text need not pay.
    from datasets.row_kernel import parse

    out = np.empty((data.count(b"\n") + 1, columns), np.float32)
    rows = parse(np.frombuffer(data, np.uint8), out, origin)
    if rows > 0:
        return out[:rows]
    return _parse_tolerantly(data, path, columns, origin, remedy)


def read_many(
    paths: Sequence[Path], columns: int = 4, origin: float = 0.0, threads: int = 2
) -> list[Boxes | DataError]:
    """Read many tables at once, in the order of `paths`; a file at fault gives its error instead of a table.

    Threads share the work, because neither reading nor parsing holds the interpreter's lock.
    """

    def read(chunk: Sequence[Path]) -> list[Boxes | DataError]:
        results: list[Boxes | DataError] = []
        for path in chunk:
            try:
                results.append(read_rows(path, columns, origin))
            except DataError as error:  # an error belongs to its own file
                results.append(error)
        return results

    if threads <= 1 or len(paths) < 64:
        return read(paths)
    chunks = [paths[i : i + 256] for i in range(0, len(paths), 256)]
    with ThreadPoolExecutor(threads) as pool:
        return [result for chunk in pool.map(read, chunks) for result in chunk]


def read_flags(path: Path, highest: int = 1) -> NDArray[np.uint8]:
    """Read one whole number in 0 ... `highest` per frame, one per line (GOT-10k) or all in one line (LaSOT).

    Returns:
        uint8 (T,), T > 0.

    Raises:
        DataError: If the file is missing or empty, or holds anything else.
    """
    remedy = f"Write one whole number from 0 to {highest} per frame"
    data = read_bytes(path)
    one_line = b"," in data
    if one_line:
        data = data.strip().removesuffix(b",").replace(b",", b"\n")
    values = parse_rows(data, path, 1, remedy=remedy)[:, 0]
    wrong = np.flatnonzero(~((values >= 0) & (values <= highest) & (values == np.floor(values))))
    if wrong.size:
        at = int(wrong[0])
        problem = f"value {at + 1} is {values[at]:g}" if one_line else f"the value is {values[at]:g}"
        raise DataError(path, problem, remedy, None if one_line else at + 1)
    return values.astype(np.uint8)


def first_row_columns(data: bytes) -> int:
    """How many values the first line of a file's content holds; 0 where it is blank."""
    line = data.lstrip().split(b"\n", 1)[0].decode("utf-8", "replace").strip()
    return len(_SEPARATOR.split(line)) if line else 0


def _lines(data: bytes, path: Path) -> list[str]:
    """All lines up to the last that is not blank."""
    try:
        lines = [line.strip(" \t") for line in re.split(r"\r\n|\r|\n", data.decode("utf-8"))]
    except UnicodeDecodeError as error:
        row = data.count(b"\n", 0, error.start) + 1
        problem = f"this is not text (byte 0x{data[error.start]:02x})"
        raise DataError(path, problem, "Restore the file from the original archive", row) from None
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _parse_tolerantly(
    data: bytes, path: Path, columns: int, origin: float, remedy: str
) -> NDArray[np.float32]:
    """Parse line by line, in order to understand the unusual and to name what is wrong."""
    lines = _lines(data, path)
    if not lines:
        raise DataError(path, "the file is empty", remedy)
    table = np.empty((len(lines), columns), np.float64)
    for row, line in enumerate(lines):
        if not line:
            raise DataError(path, "a blank line stands between rows", remedy, row + 1)
        words = _SEPARATOR.split(line)
        if len(words) != columns:
            counted = f"{len(words)} value{'s' if len(words) != 1 else ''} instead of {columns}"
            before = f", while the {row} rows before have {columns}" if row else ""
            raise DataError(path, f"{counted}{before}: {_shortened(line)!r}", remedy, row + 1)
        for column, word in enumerate(words):
            table[row, column] = _number(word, path, row, column, remedy)
    table[:, :2] -= origin
    return table.astype(np.float32)


def _number(word: str, path: Path, row: int, column: int, remedy: str) -> float:
    place = f"value {column + 1}"
    if not word:
        raise DataError(path, f"{place} is missing between two commas", remedy, row + 1)
    try:
        # Python takes 1_000 for a number; a benchmark that writes that means something else.
        value = float("x" if "_" in word else word)
    except ValueError:
        raise DataError(path, f"{place} is {_shortened(word)!r}, not a number", remedy, row + 1) from None
    if abs(value) > np.finfo(np.float32).max:
        raise DataError(path, f"{place} is {_shortened(word)!r}, not a finite number", remedy, row + 1)
    return value


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."
