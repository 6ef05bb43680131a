"""Text tables: what is welcome is read alike by the fast parser and the tolerant one."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets.errors import DataError
from datasets.row_kernel import parse
from datasets.rows import _parse_tolerantly, parse_rows, read_flags, read_many, read_rows

PATH = Path("boxes.txt")
EXPECTED = np.array([[1, 2, 30, 40], [1.5, 2.25, 30, 40]], np.float32)


def fast(data: bytes, columns: int = 4, origin: float = 0.0) -> np.ndarray | None:
    """What the compiled parser gives; None where it refuses."""
    out = np.empty((data.count(b"\n") + 1, columns), np.float32)
    count = parse(np.frombuffer(data, np.uint8), out, origin)
    return None if count < 0 else out[:count]


@pytest.mark.parametrize(
    "text",
    [
        "1,2,30,40\n1.5,2.25,30,40\n",
        "1,2,30,40\n1.5,2.25,30,40",
        "1\t2\t30\t40\r\n1.5\t2.25\t30\t40\r\n",
        "1 2 30 40\n1.5   2.25 30 40 \n",
        " 1, 2,\t30 ,40\n1.5,2.25,30,40\n\n \r\n",
        "1.,2.0,3e1,4.0E+01\n+1.5,.225e1,300e-1,40\n",
        "0001,2,30,40\n1.50000000000000000000,2.25,30,40\n",
        "1,2,30,40\r1.5,2.25,30,40\r",
    ],
)
def test_real_spellings_of_one_table(text: str) -> None:
    assert np.array_equal(parse_rows(text.encode(), PATH), EXPECTED)
    assert np.array_equal(_parse_tolerantly(text.encode(), PATH, 4, 0.0, "x"), EXPECTED)


def test_a_byte_order_mark_is_no_number(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes(b"\xef\xbb\xbf1,2,30,40\r\n1.5,2.25,30,40\r\n")
    assert np.array_equal(read_rows(file), EXPECTED)


@pytest.mark.parametrize("word", ["NaN", "nan", "NAN", "-nan"])
def test_nan_in_any_case(word: str) -> None:
    table = parse_rows(f"{word},{word},{word},{word}\n1,2,3,4\n".encode(), PATH)
    assert np.isnan(table[0]).all()
    assert table[1].tolist() == [1, 2, 3, 4]


def test_the_origin_is_subtracted_before_rounding() -> None:
    # 16777217 - 1 is a float32, 16777217 is not.
    assert parse_rows(b"16777217,1,16777217,1\n", PATH, origin=1)[0].tolist() == [16777216, 0, 16777216, 1]


@pytest.mark.filterwarnings("error")
def test_too_large_for_float32_is_refused_without_a_warning() -> None:
    largest = float(np.finfo(np.float32).max)
    # NumPy writes the largest float32 as 3.4028235e+38, which is more than it, and rounds to it.
    assert parse_rows(b"1,2,3,3.4028235e+38\n", PATH)[0, 3] == largest
    for word in ("1e39", "-1e39", "3.4028236e38", "1e999", "inf"):
        with pytest.raises(DataError, match=f"line 1: value 1 is '{word}', not a finite number"):
            parse_rows(f"{word},2,3,4\n".encode(), PATH)


numbers = st.one_of(
    st.floats(-1e6, 1e6, allow_nan=False),
    st.floats(-1e4, 1e4, width=32),
    st.integers(-5000, 5000).map(float),
    st.just(math.nan),
)


@given(
    st.lists(st.tuples(numbers, numbers, numbers, numbers), min_size=1, max_size=20),
    st.sampled_from([",", "\t", " ", ", "]),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([repr, "{:.3f}".format, "{:.17g}".format, "{:.9e}".format]),
    st.sampled_from([0.0, 1.0]),
)
def test_fast_and_tolerant_agree_to_the_bit(
    table: list[tuple[float, ...]], separator: str, end: str, spelled: Callable[[float], str], origin: float
) -> None:
    text = end.join(separator.join(spelled(v) for v in row) for row in table).encode()
    tolerant = _parse_tolerantly(text, PATH, 4, origin, "x")
    quick = fast(text, origin=origin)
    assert np.array_equal(parse_rows(text, PATH, origin=origin), tolerant, equal_nan=True)
    if quick is not None:
        assert np.array_equal(quick, tolerant, equal_nan=True)


@given(st.lists(st.tuples(*[st.floats(-1e4, 1e4, width=32)] * 4), min_size=1, max_size=20))
def test_float32_survives_the_text(table: list[tuple[float, ...]]) -> None:
    boxes = np.array(table, np.float32)
    text = "".join(",".join(f"{v:.9g}" for v in row) + "\n" for row in boxes.tolist())
    assert np.array_equal(parse_rows(text.encode(), PATH), boxes)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused_with_a_reason(data: bytes) -> None:
    try:
        table = parse_rows(data, PATH)
    except DataError as error:
        assert error.remedy
    else:
        assert table.shape[1] == 4
        assert not np.isinf(table).any()


def test_the_fast_path_takes_what_toolkits_write() -> None:
    for text in (b"1.000,2.500,3.123,4.000\n", b"129\t80\t64\t78\n", b"12.345678901234567,1.5,2.25,3.0\n"):
        assert fast(text) is not None


def test_many_files_are_one_by_one_reading(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    paths = []
    for i in range(600):
        path = tmp_path / f"{i}.txt"
        path.write_text(
            "".join("{:.3f},{:.3f},{:.3f},{:.3f}\n".format(*r) for r in rng.uniform(0, 500, (i % 7 + 1, 4)))
        )
        paths.append(path)
    paths[10].write_text("1,2,3\n")
    paths[20].write_text("1,2,3,4\r5,6,7,8\r")  # only the tolerant parser takes it
    paths[30].unlink()
    for threads in (1, 2):
        tables = read_many(paths, origin=1, threads=threads)
        assert len(tables) == 600
        for i, (path, table) in enumerate(zip(paths, tables, strict=True)):
            if i in {10, 30}:
                assert isinstance(table, DataError)
                assert table.path == path
            else:
                assert np.array_equal(table, read_rows(path, origin=1))


def test_flags_one_per_line_or_in_one_line(tmp_path: Path) -> None:
    lines, line = tmp_path / "absence.label", tmp_path / "out_of_view.txt"
    lines.write_bytes(b"0\r\n1\r\n0\r\n")
    line.write_text("0,1,0")
    assert read_flags(lines).tolist() == read_flags(line).tolist() == [0, 1, 0]
    cover = tmp_path / "cover.label"
    cover.write_text("8\n0\n")
    assert read_flags(cover, 8).tolist() == [8, 0]


def test_real_annotations_parse_like_numpy(real_data: Path) -> None:
    for path in sorted((real_data / "annotations" / "OTB100").glob("*.txt")):
        text = path.read_text().replace(",", " ").replace("\t", " ")
        expected = np.array([line.split() for line in text.splitlines() if line.strip()], np.float64)
        assert np.array_equal(read_rows(path), expected.astype(np.float32)), path.name
