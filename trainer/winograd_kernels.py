"""The transforms of Winograd's convolution F(4x4, 3x3) and their transposes, compiled.

A tile is 4x4 outputs of a 3x3 convolution. The 6x6 inputs that they see become 36 numbers in Winograd's domain, as
does a filter, and there the convolution is a product (Lavin and Gray, CVPR 2016, with the matrices of Section 4.3):

    outputs = A^T ((G filter G^T) * (B^T inputs B)) A

`spread_...` goes into the domain, `gather_...` comes back; the gradients take the same matrices transposed. Images
are (N, H, W, C), H and W multiples of 4, and 0 beyond their border. In the domain they are (36, T, C), T = N H W / 16
tiles, image by image and row by row. All tensors are float32, contiguous, and on the CPU. Images, and filters, are
shared out among PyTorch's threads; what comes out does not depend on how many these are.
"""

from __future__ import annotations

from typing import Any, no_type_check

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray
from torch import Tensor

from datasets.compiled import compiled, compiled_for_c
from trainer import team

Array = NDArray[np.float32]

LANES = 64
"""Channels that a kernel takes at a time: what it works on then stays in the processor's nearest memory. Where fewer
are left, the rest of its room is worked on as well and not looked at."""

_2, _4, _5, _8 = (np.float32(n) for n in (2, 4, 5, 8))
_QUARTER, _SIXTH, _TWELFTH, _24TH = (np.float32(1 / n) for n in (4, 6, 12, 24))


@compiled
def _bt(source: Array, target: Array, n: int) -> None:  # pragma: no cover - compiled
    """B^T: six rows of n numbers to six."""
    for c in range(n):
        a0, a1, a2 = source[c], source[n + c], source[2 * n + c]
        a3, a4, a5 = source[3 * n + c], source[4 * n + c], source[5 * n + c]
        p = a4 - _4 * a2
        q = a3 - _4 * a1
        r = a4 - a2
        s = _2 * (a3 - a1)
        target[c] = _4 * a0 - _5 * a2 + a4
        target[n + c] = p + q
        target[2 * n + c] = p - q
        target[3 * n + c] = r + s
        target[4 * n + c] = r - s
        target[5 * n + c] = _4 * a1 - _5 * a3 + a5


@compiled
def _b(source: Array, target: Array, n: int) -> None:  # pragma: no cover - compiled
    """B: six rows to six."""
    for c in range(n):
        v0, v1, v2 = source[c], source[n + c], source[2 * n + c]
        v3, v4, v5 = source[3 * n + c], source[4 * n + c], source[5 * n + c]
        p = v1 + v2
        q = v1 - v2
        r = v3 + v4
        s = v3 - v4
        target[c] = _4 * v0
        target[n + c] = _4 * (v5 - q) - _2 * s
        target[2 * n + c] = -_5 * v0 - _4 * p - r
        target[3 * n + c] = q + _2 * s - _5 * v5
        target[4 * n + c] = v0 + p + r
        target[5 * n + c] = v5


@compiled
def _at(source: Array, target: Array, n: int) -> None:  # pragma: no cover - compiled
    """A^T: six rows to four."""
    for c in range(n):
        v0, v1, v2 = source[c], source[n + c], source[2 * n + c]
        v3, v4, v5 = source[3 * n + c], source[4 * n + c], source[5 * n + c]
        p = v1 + v2
        q = v1 - v2
        r = v3 + v4
        s = v3 - v4
        target[c] = v0 + p + r
        target[n + c] = q + _2 * s
        target[2 * n + c] = p + _4 * r
        target[3 * n + c] = q + _8 * s + v5


@compiled
def _a(source: Array, target: Array, n: int) -> None:  # pragma: no cover - compiled
    """A: four rows to six."""
    for c in range(n):
        a0, a1, a2, a3 = source[c], source[n + c], source[2 * n + c], source[3 * n + c]
        p = a0 + a2
        q = a1 + a3
        r = a0 + _4 * a2
        s = _2 * a1 + _8 * a3
        target[c] = a0
        target[n + c] = p + q
        target[2 * n + c] = p - q
        target[3 * n + c] = r + s
        target[4 * n + c] = r - s
        target[5 * n + c] = a3


@compiled
def _g(source: Array, target: Array, n: int) -> None:  # pragma: no cover - compiled
    """G: three rows to six."""
    for c in range(n):
        a0, a1, a2 = source[c], source[n + c], source[2 * n + c]
        p = -_SIXTH * (a0 + a2)
        q = _SIXTH * a1
        r = _24TH * a0 + _SIXTH * a2
        s = _TWELFTH * a1
        target[c] = _QUARTER * a0
        target[n + c] = p - q
        target[2 * n + c] = p + q
        target[3 * n + c] = r + s
        target[4 * n + c] = r - s
        target[5 * n + c] = a2


@compiled
def _gt(source: Array, target: Array, n: int) -> None:  # pragma: no cover - compiled
    """G^T: six rows to three."""
    for c in range(n):
        v0, v1, v2 = source[c], source[n + c], source[2 * n + c]
        v3, v4, v5 = source[3 * n + c], source[4 * n + c], source[5 * n + c]
        p = v1 + v2
        r = v3 + v4
        target[c] = _QUARTER * v0 - _SIXTH * p + _24TH * r
        target[n + c] = _SIXTH * (v2 - v1) + _TWELFTH * (v3 - v4)
        target[2 * n + c] = _SIXTH * (r - p) + v5


@compiled
def _copy(source: Array, target: Array, n: int) -> None:  # pragma: no cover - compiled
    # Of a constant length the compiler would unroll it, and then not vectorise.
    for c in range(n):
        target[c] = source[c]


@compiled
def _add(source: Array, target: Array, n: int) -> None:  # pragma: no cover - compiled
    for c in range(n):
        target[c] += source[c]


@compiled
def _spread_inputs(x: Array, v: Array, n: int) -> None:  # pragma: no cover - compiled
    """B^T x B of each tile's inputs of image n: images (N, H, W, C) to v (36, T, C)."""
    _, height, width, channels = x.shape
    across, tiles = width // 4, height * width // 16
    seen = np.empty(36 * LANES, np.float32)
    half = np.empty(36 * LANES, np.float32)
    for place in range(tiles):
        tile = n * tiles + place
        top, left = place // across * 4 - 1, place % across * 4 - 1
        for c in range(0, channels, LANES):
            lanes = min(LANES, channels - c)
            for i in range(6):
                for j in range(6):
                    row = seen[(6 * i + j) * LANES :]
                    if 0 <= top + i < height and 0 <= left + j < width:
                        _copy(x[n, top + i, left + j, c : c + lanes], row, lanes)
                    else:
                        for lane in range(lanes):
                            row[lane] = np.float32(0)
            _bt(seen, half, 6 * LANES)
            for i in range(6):
                _bt(half[6 * i * LANES :], seen[6 * i * LANES :], LANES)
            for k in range(36):
                _copy(seen[k * LANES :], v[k, tile, c : c + lanes], lanes)


@compiled
def _gather_inputs(v: Array, x: Array, n: int) -> None:  # pragma: no cover - compiled
    """The transpose of `_spread_inputs`, for gradients: v (36, T, C) to image n of (N, H, W, C)."""
    _, height, width, channels = x.shape
    across, tiles = width // 4, height * width // 16
    seen = np.empty(36 * LANES, np.float32)
    half = np.empty(36 * LANES, np.float32)
    x[n] = np.float32(0)
    for place in range(tiles):
        tile = n * tiles + place
        top, left = place // across * 4 - 1, place % across * 4 - 1
        for c in range(0, channels, LANES):
            lanes = min(LANES, channels - c)
            for k in range(36):
                _copy(v[k, tile, c : c + lanes], seen[k * LANES :], lanes)
            _b(seen, half, 6 * LANES)
            for i in range(6):
                _b(half[6 * i * LANES :], seen[6 * i * LANES :], LANES)
            for i in range(max(0, -top), min(6, height - top)):
                for j in range(max(0, -left), min(6, width - left)):
                    row = seen[(6 * i + j) * LANES :]
                    _add(row, x[n, top + i, left + j, c : c + lanes], lanes)


@compiled
def _gather_outputs(m: Array, y: Array, n: int) -> None:  # pragma: no cover - compiled
    """A^T m A of each tile of image n: m (36, T, C) to images (N, H, W, C)."""
    _, height, width, channels = y.shape
    across, tiles = width // 4, height * width // 16
    seen = np.empty(36 * LANES, np.float32)
    half = np.empty(24 * LANES, np.float32)
    for place in range(tiles):
        tile = n * tiles + place
        top, left = place // across * 4, place % across * 4
        for c in range(0, channels, LANES):
            lanes = min(LANES, channels - c)
            for k in range(36):
                _copy(m[k, tile, c : c + lanes], seen[k * LANES :], lanes)
            _at(seen, half, 6 * LANES)
            for i in range(4):
                _at(half[6 * i * LANES :], seen, LANES)
                for j in range(4):
                    _copy(seen[j * LANES :], y[n, top + i, left + j, c : c + lanes], lanes)


@compiled
def _spread_outputs(y: Array, m: Array, n: int) -> None:  # pragma: no cover - compiled
    """The transpose of `_gather_outputs`, for gradients: image n of (N, H, W, C) to m (36, T, C)."""
    _, height, width, channels = y.shape
    across, tiles = width // 4, height * width // 16
    seen = np.empty(36 * LANES, np.float32)
    half = np.empty(24 * LANES, np.float32)
    for place in range(tiles):
        tile = n * tiles + place
        top, left = place // across * 4, place % across * 4
        for c in range(0, channels, LANES):
            lanes = min(LANES, channels - c)
            for i in range(4):
                for j in range(4):
                    _copy(y[n, top + i, left + j, c : c + lanes], seen[(4 * i + j) * LANES :], lanes)
            _a(seen, half, 4 * LANES)
            for i in range(6):
                _a(half[4 * i * LANES :], seen[6 * i * LANES :], LANES)
            for k in range(36):
                _copy(seen[k * LANES :], m[k, tile, c : c + lanes], lanes)


@compiled
def _spread_filters(w: Array, u: Array, k: int) -> None:  # pragma: no cover - compiled
    """G w G^T of filter k: filters (K, 3, 3, C) to u (K, 36, C), an order that is written at once where C is large."""
    seen = np.empty(36 * LANES, np.float32)
    half = np.empty(18 * LANES, np.float32)
    for c in range(0, w.shape[3], LANES):
        lanes = min(LANES, w.shape[3] - c)
        for i in range(3):
            for j in range(3):
                _copy(w[k, i, j, c : c + lanes], seen[(3 * i + j) * LANES :], lanes)
        _g(seen, half, 3 * LANES)
        for i in range(6):
            _g(half[3 * i * LANES :], seen[6 * i * LANES :], LANES)
        for p in range(36):
            _copy(seen[p * LANES :], u[k, p, c : c + lanes], lanes)


@compiled
def _gather_filters(du: Array, w: Array, k: int) -> None:  # pragma: no cover - compiled
    """The transpose of `_spread_filters`, for gradients: du (36, K, C) to filter k of (K, 3, 3, C)."""
    seen = np.empty(36 * LANES, np.float32)
    half = np.empty(18 * LANES, np.float32)
    for c in range(0, w.shape[3], LANES):
        lanes = min(LANES, w.shape[3] - c)
        for p in range(36):
            _copy(du[p, k, c : c + lanes], seen[p * LANES :], lanes)
        _gt(seen, half, 6 * LANES)
        for i in range(3):
            _gt(half[6 * i * LANES :], seen, LANES)
            for j in range(3):
                _copy(seen[j * LANES :], w[k, i, j, c : c + lanes], lanes)


INPUTS_IN, INPUTS_OUT, OUTPUTS_IN, OUTPUTS_OUT, FILTERS_IN, FILTERS_OUT = range(6)
"""What `transform` can do: into the domain and back."""


_SIGNATURE = types.void(types.CPointer(types.voidptr))  # type: ignore[no-untyped-call]  # numba's own


@intrinsic
def _next(typing: Any, counter: Any) -> Any:  # noqa: ANN401 - numba's own
    """The int64 at an address, which is one more afterwards: each thread gets another."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ANN401
        number = ir.IntType(64)
        place = builder.bitcast(arguments[0], number.as_pointer())
        return builder.atomic_rmw("add", place, number(1), "monotonic")

    return types.int64(types.voidptr), code


@no_type_check  # its types are those of C
def _transform(given: Any) -> None:  # noqa: ANN401  # pragma: no cover - compiled
    """One image or filter after the other, until the threads have taken all of them."""
    _, kind, count, height, width, channels = numba.carray(given[2], 6, np.int64)
    near = numba.carray(given[0], (count, height, width, channels), np.float32)
    tiles = numba.carray(given[1], (36, count * height * width // 16, channels), np.float32)
    filters_in = numba.carray(given[1], (count, 36, channels), np.float32)
    filters_out = numba.carray(given[1], (36, count, channels), np.float32)
    n = _next(given[2])
    while n < count:
        if kind == INPUTS_IN:
            _spread_inputs(near, tiles, n)
        elif kind == INPUTS_OUT:
            _gather_inputs(tiles, near, n)
        elif kind == OUTPUTS_IN:
            _spread_outputs(near, tiles, n)
        elif kind == OUTPUTS_OUT:
            _gather_outputs(tiles, near, n)
        elif kind == FILTERS_IN:
            _spread_filters(near, filters_in, n)
        else:
            _gather_filters(filters_out, near, n)
        n = _next(given[2])


def transform(kind: int, near: Tensor, domain: Tensor) -> None:
    """Bring images (N, H, W, C) or filters (K, 3, 3, C) into the domain or back, as `kind` says.

    Args:
        kind: One of the six above; `..._IN` overwrites `domain`, `..._OUT` the other.
        near: Images, or filters.
        domain: (36, T, C); of filters (K, 36, C) on their way in, (36, K, C) back.
    """
    team.share(compiled_for_c(_transform, _SIGNATURE).address, (near, domain), (kind, *near.shape))
