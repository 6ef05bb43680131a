"""Which transform is the faster one for a grid: a product with tables, or an FFT library's.

The direct transform takes n + m operations per cell whatever the sizes; an FFT takes few for sizes with
small prime factors, and more, in proportion to the factor, for a prime factor that it has no code for, up to
where it pads to another length. The figures are fitted to times measured on one core (AVX-512, SciPy 1.17)
over grids from 12 x 12 to 320 x 320 cells; the choice is whole-number arithmetic on them, the same on every machine.
"""

from __future__ import annotations

from typing import NamedTuple

_LARGEST_CODED = 11
_PADDED_FROM = 96


class Costs(NamedTuple):
    """Time of the transforms of one kind of map, in thousandths of a nanosecond.

    Attributes:
        product: Direct: per cell, and per cell of a row or column.
        direct_cell: Direct: per cell.
        fft_call: FFT: per call.
        fft_cell: FFT: per cell.
        fft_row_prime: FFT: per cell, and unit of the rows' prime factors above 11; the axis that the library
            transforms from real to complex, where they were measured to cost more.
        fft_column_prime: The same of the columns.
    """

    product: int
    direct_cell: int
    fft_call: int
    fft_cell: int
    fft_row_prime: int
    fft_column_prime: int


FEATURES = Costs(600, 13_000, 20_000_000, 56_000, 2_100, 700)
"""Maps of 32 channels, channels last."""

SINGLE = Costs(54, 3_500, 9_000_000, 2_000, 85, 30)
"""Maps of one channel."""


def direct_is_faster(rows: int, columns: int, costs: Costs) -> bool:
    """Whether the direct transform of a grid is predicted to be at least as fast as the FFT."""
    cells = rows * columns
    direct = costs.product * (rows + columns) + costs.direct_cell
    primes = costs.fft_row_prime * _large_primes(rows) + costs.fft_column_prime * _large_primes(columns)
    return cells * direct <= costs.fft_call + cells * (costs.fft_cell + primes)


def _large_primes(n: int) -> int:
    """Sum of n's prime factors for which the FFT has no code of its own, cut where it pads instead."""
    total, factor = 0, 2
    while n > 1:
        if factor * factor > n:
            factor = n
        while n % factor == 0:
            n //= factor
            total += factor if factor > _LARGEST_CODED else 0
        factor += 1
    return min(total, _PADDED_FROM)
