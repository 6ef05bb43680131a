"""Tables of numbers in text files, as benchmarks and tracking toolkits write them.

One number or box per line; separators are commas, tabs, spaces or a mix; line ends are LF, CRLF or CR; a byte
order mark, blank lines at the end and NaN in any case are welcome. Everything else is refused with the file,
the line, the value and the remedy. Files are parsed in compiled code (`datasets.row_kernel`); only a file
that it refuses is parsed again, slowly, in order to understand or to explain it.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datasets.errors import DataError
from datasets.regular import read_regular

_SEPARATOR = re.compile(r"[ \t]*,[ \t]*|[ \t]+")
_CHUNK = 256  # files that one thread reads in a row
_TOO_LARGE = 2.0**128 - 2.0**103  # the smallest number that rounds to infinity in float32
_NOTHING = np.empty((0, 0), np.float32)
_BOX_REMEDY = "Write one row of numbers per frame, x,y,w,h, or NaN,NaN,NaN,NaN where the target is absent"


def read_bytes(path: Path | str) -> bytes:
    """The content of a text file without its byte order mark.

    Raises:
        DataError: If there is no such file, or it cannot be read.
    """
    try:
        data = read_regular(path)
    except FileNotFoundError:
        raise DataError(path, "there is no such file", "Restore it, or exclude the video") from None
    except OSError as error:
        raise DataError(
            path, f"the file cannot be read ({error.strerror})", "Restore it, or check its permissions"
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
    paths: Sequence[Path | str], origin: float = 0.0, remedy: str = _BOX_REMEDY, threads: int = 2
) -> list[NDArray[np.float32] | DataError]:
    """Read many tables of boxes at once, in the order of `paths`; a file at fault gives its error instead of a table.

    Files are parsed by the hundred in one call, during which another thread reads: 37,340 files of 5.6
    million rows take about half the time of `read_rows` in a loop, 0.7 s of one core.
    """
    chunks = [paths[i : i + _CHUNK] for i in range(0, len(paths), _CHUNK)]
    if threads <= 1 or len(chunks) <= 1:
        return [table for chunk in chunks for table in _read_chunk(chunk, origin, remedy)]
    with ThreadPoolExecutor(threads) as pool:
        results = pool.map(lambda chunk: _read_chunk(chunk, origin, remedy), chunks)
        return [table for chunk in results for table in chunk]


def _read_chunk(
    paths: Sequence[Path | str], origin: float, remedy: str
) -> list[NDArray[np.float32] | DataError]:
    from datasets.row_kernel import parse_files

    texts: list[bytes] = []
    results: list[NDArray[np.float32] | DataError] = []
    for path in paths:
        try:
            texts.append(read_bytes(path))
        except DataError as error:
            texts.append(b"")
            results.append(error)
        else:
            results.append(_NOTHING)
    ends = np.cumsum([len(text) for text in texts])
    bottoms = np.cumsum([text.count(b"\n") + 1 for text in texts])
    out = np.empty((int(bottoms[-1]), 4), np.float32)
    rows = parse_files(np.frombuffer(b"".join(texts), np.uint8), ends, out, bottoms, origin)
    top = 0
    for i, (bottom, count) in enumerate(zip(bottoms.tolist(), rows.tolist(), strict=True)):
        if count > 0:
            results[i] = out[top : top + count]
        elif results[i] is _NOTHING:
            try:
                results[i] = _parse_tolerantly(texts[i], Path(paths[i]), 4, origin, remedy)
            except DataError as error:
                results[i] = error
        top = bottom
    return results


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


def read_line(path: Path, row: int) -> str:
    """Line `row` of a table (1-based) as it is written, cut where it is long, to show a user what to search for."""
    return _shortened(_lines(read_bytes(path), path)[row - 1])


def first_row_columns(data: bytes) -> int:
    """How many values the first line of a file's content holds; 0 where it is blank."""
    line = re.split(rb"[\r\n]", data.lstrip(), maxsplit=1)[0].decode("utf-8", "replace").strip()
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
    if abs(value) >= _TOO_LARGE:  # of float64: NumPy would first bring the value to float32, and warn
        raise DataError(path, f"{place} is {_shortened(word)!r}, not a finite number", remedy, row + 1)
    return value


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."
