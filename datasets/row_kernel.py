"""The fast path of `datasets.rows`: text to float32 in compiled code, without the interpreter's lock.

One number costs about 10 ns. Whatever is not plainly a table of numbers is refused (-1), and the tolerant
parser of `datasets.rows` then finds the words for what is wrong, or reads the unusual but legal.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from datasets.compiled import compiled_like_python

_POWERS = 10.0 ** np.arange(23)  # all of them exact in float64
_EXACT_DIGITS = np.uint64(2**53)

NEWLINE, RETURN, TAB, SPACE, COMMA = 10, 13, 9, 32, 44
PLUS, MINUS, POINT, ZERO, NINE = 43, 45, 46, 48, 57


@compiled_like_python
def parse(data: NDArray[np.uint8], out: NDArray[np.float32], origin: float) -> int:
    """Parse the text `data` into the rows of `out`, each of out.shape[1] numbers.

    `origin` is subtracted from the first two columns in float64, before rounding to float32. A result is the
    float32 nearest to the written number minus `origin`: a number with more than 15 digits is
    refused where float64 cannot tell which of two float32 is nearer.

    Args:
        data: Text without byte order mark, uint8 (n,).
        out: float32 (at least the number of lines, columns), written from the top.
        origin: What the first two columns call their first pixel.

    Returns:
        The number of rows, or -1 where the text is anything but plain.
    """
    n = data.size
    columns = out.shape[1]
    i = 0
    row = 0
    while True:
        while i < n and (data[i] == SPACE or data[i] == TAB or data[i] == RETURN):
            i += 1
        if i >= n:
            return row
        if data[i] == NEWLINE:  # a blank line: legal only when nothing but blanks follows
            while i < n and (data[i] == NEWLINE or data[i] == SPACE or data[i] == TAB or data[i] == RETURN):
                i += 1
            return row if i >= n else -1
        if row >= out.shape[0]:
            return -1
        for column in range(columns):
            if column > 0:
                start = i
                while i < n and (data[i] == SPACE or data[i] == TAB):
                    i += 1
                if i < n and data[i] == COMMA:
                    i += 1
                    while i < n and (data[i] == SPACE or data[i] == TAB):
                        i += 1
                if i == start:
                    return -1
            negative = False
            if i < n and (data[i] == MINUS or data[i] == PLUS):
                negative = data[i] == MINUS
                i += 1
            if i + 2 < n and data[i] | 32 == 110 and data[i + 1] | 32 == 97 and data[i + 2] | 32 == 110:
                out[row, column] = np.nan
                i += 3
                continue
            mantissa = np.uint64(0)
            digits = 0  # significant ones
            seen = 0
            exponent = 0
            fraction = False
            while i < n:
                c = data[i]
                if c >= ZERO and c <= NINE:
                    mantissa = mantissa * np.uint64(10) + np.uint64(c - ZERO)
                    seen += 1
                    if mantissa > np.uint64(0):
                        digits += 1
                    if fraction:
                        exponent -= 1
                elif c == POINT and not fraction:
                    fraction = True
                else:
                    break
                i += 1
            if seen == 0 or digits > 19:
                return -1
            if i < n and data[i] | 32 == 101:  # e
                i += 1
                sign = 1
                if i < n and (data[i] == MINUS or data[i] == PLUS):
                    sign = -1 if data[i] == MINUS else 1
                    i += 1
                power = 0
                seen = 0
                while i < n and data[i] >= ZERO and data[i] <= NINE and seen < 4:
                    power = power * 10 + int(data[i] - ZERO)
                    seen += 1
                    i += 1
                if seen == 0:
                    return -1
                exponent += sign * power
            if mantissa == np.uint64(0):
                exponent = 0
            if exponent < -22 or exponent > 15:
                return -1
            value = np.float64(mantissa)
            value = value / _POWERS[-exponent] if exponent < 0 else value * _POWERS[exponent]
            if negative:
                value = -value
            shift = origin if column < 2 else 0.0
            if mantissa > _EXACT_DIGITS:
                slack = abs(value) * 2.0**-51
                low = np.float32(value - slack - shift)
                if low != np.float32(value + slack - shift):
                    return -1
            out[row, column] = np.float32(value - shift)
        while i < n and (data[i] == SPACE or data[i] == TAB):
            i += 1
        if i < n and data[i] == RETURN:
            i += 1
        if i < n:
            if data[i] != NEWLINE:
                return -1
            i += 1
        row += 1


@compiled_like_python
def parse_files(
    data: NDArray[np.uint8],
    ends: NDArray[np.int64],
    out: NDArray[np.float32],
    bottoms: NDArray[np.int64],
    origin: float,
) -> NDArray[np.int64]:
    """Parse many texts that lie end to end: text i ends at ends[i] and has the rows of `out` to bottoms[i].

    Returns:
        What `parse` returns for each, int64 (texts,).
    """
    rows = np.empty(ends.size, np.int64)
    start = 0
    top = 0
    for i in range(ends.size):
        rows[i] = parse(data[start : ends[i]], out[top : bottoms[i]], origin)
        start = ends[i]
        top = bottoms[i]
    return rows
