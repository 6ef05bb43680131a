"""The target's displacement: the highest point of the response, on the grid and then between its points."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from datasets.compiled import compiled
from teachers.eco.fourier import Fourier

Floats = NDArray[np.float32]

NEWTON_STEPS = 5


def peak(response: Floats, fourier: Fourier) -> tuple[float, float]:
    """Where a series is highest: (rows, columns) in radians of the region, in [-pi, pi].

    Args:
        response: float32 (2, coefficients).
        fourier: Transforms of its grid.
    """
    # Columns vary slowly: the first maximum is the first in column-major order, as in the published code.
    place = int(fourier.backward(response).argmax())
    n, m = fourier.n, fourier.m
    column, row = divmod(place, n)
    start = (2 * math.pi / n * ((row + m) % n - m), 2 * math.pi / n * ((column + m) % n - m))
    rows, columns = _refine(response, start, n, NEWTON_STEPS)
    return rows, columns


@compiled
def _refine(response: Floats, start: tuple[float, float], n: int, steps: int) -> tuple[float, float]:
    """Newton's method in double precision; the start itself where that leads to a lower point."""
    m = n // 2
    y, x = start
    first = 0.0
    for step in range(steps + 1):
        value, dy, dx, dyy, dxx, dxy = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        turn_r, turn_i = math.cos(y), math.sin(y)
        for kx in range(m + 1):
            # Sums over ky of S, ky S and ky^2 S, each times exp(i ky y).
            a_r, a_i, b_r, b_i, c_r, c_i = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
            e_r, e_i = math.cos(m * y), -math.sin(m * y)
            for k in range(n):
                ky = k - m
                s_r, s_i = np.float64(response[0, kx * n + k]), np.float64(response[1, kx * n + k])
                v_r, v_i = s_r * e_r - s_i * e_i, s_r * e_i + s_i * e_r
                a_r += v_r
                a_i += v_i
                b_r += ky * v_r
                b_i += ky * v_i
                c_r += ky * ky * v_r
                c_i += ky * ky * v_i
                e_r, e_i = e_r * turn_r - e_i * turn_i, e_r * turn_i + e_i * turn_r
            times = 1.0 if kx == 0 else 2.0
            p, q = times * math.cos(kx * x), times * math.sin(kx * x)
            real, imaginary = a_r * p - a_i * q, a_r * q + a_i * p
            value += real
            dx -= kx * imaginary
            dxx -= kx * kx * real
            dy -= b_r * q + b_i * p
            dxy -= kx * (b_r * p - b_i * q)
            dyy -= c_r * p - c_i * q
        if step == 0:
            first = value
        if step == steps:
            # Written so that a value that is not a number is refused too.
            return (y, x) if value >= first else start
        determinant = dyy * dxx - dxy * dxy
        if determinant == 0.0:
            return start
        y -= (dxx * dy - dxy * dx) / determinant
        x -= (dyy * dx - dxy * dy) / determinant
    return start
