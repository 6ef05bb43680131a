"""Colour as a soft assignment of each pixel to a few classes, averaged over cells.

A table gives each 5-bit RGB value (or grey level) its class probabilities minus their mean. ECO's authors
use the learned Colour Names of van de Weijer et al. (TIP 2009), which cannot be shipped: a user's own file
is read by `read_table`. Otherwise `basic_colours` assigns to the eleven basic colour terms by distance in
CIE Lab, which tracks as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datasets.compiled import compiled
from datasets.errors import DataError

Floats = NDArray[np.float32]
Levels = NDArray[np.uint8]

ENTRIES = 32 * 32 * 32
"""Rows of a colour table: R // 8 + 32 (G // 8) + 1024 (B // 8)."""

BASIC_COLOURS = {
    "black": (0, 0, 0),
    "blue": (0, 0, 255),
    "brown": (139, 69, 19),
    "grey": (128, 128, 128),
    "green": (0, 128, 0),
    "orange": (255, 165, 0),
    "pink": (255, 192, 203),
    "purple": (128, 0, 128),
    "red": (255, 0, 0),
    "white": (255, 255, 255),
    "yellow": (255, 255, 0),
}
"""The eleven basic colour terms and where they lie in sRGB."""

_LIGHTNESS_FACTOR = 0.7
_WIDTH = 25.0
_GREY_BASES = 6


@dataclass(frozen=True)
class ColourTable:
    """What each colour contributes to its cell.

    Attributes:
        values: float32 (32768, C), or (256, C) for grey levels.
        rank: Dimensions that the values span; centred probabilities of n classes span n - 1.
    """

    values: Floats
    rank: int

    @property
    def channels(self) -> int:
        """C."""
        return int(self.values.shape[1])


def lab(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    """CIE Lab of sRGB values in 0..255 under D65, shape (..., 3)."""
    share = rgb / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array(
        [
            [0.4124564, 0.3575761, 0.1804375],
            [0.2126729, 0.7151522, 0.0721750],
            [0.0193339, 0.1191920, 0.9503041],
        ]
    )
    # einsum, so that the last bits do not depend on a linear algebra library.
    ratio = np.einsum("...c,xc->...x", linear, to_xyz) / to_xyz.sum(axis=1)
    f = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


@cache
def basic_colours() -> ColourTable:
    """Soft assignment to the eleven basic colours, minus 1/11; built once per process in some 20 ms."""
    level = 8.0 * np.arange(32) + 3.5
    blue, green, red = np.meshgrid(level, level, level, indexing="ij")
    colours = lab(np.stack([red, green, blue], axis=-1).reshape(ENTRIES, 3))
    anchors = lab(np.array(list(BASIC_COLOURS.values()), dtype=np.float64))
    difference = colours[:, None, :] - anchors[None, :, :]
    difference[..., 0] *= _LIGHTNESS_FACTOR
    likelihood = np.exp(-(difference**2).sum(axis=-1) / (2 * _WIDTH**2))
    probability = likelihood / likelihood.sum(axis=1, keepdims=True)
    count = len(BASIC_COLOURS)
    return ColourTable((probability - 1 / count).astype(np.float32), count - 1)


@cache
def intensities() -> ColourTable:
    """Grey levels as a soft histogram of six quadratic B-splines, minus 1/6."""
    place = np.arange(256)[:, None] / 63.75 + 0.5 - np.arange(_GREY_BASES)[None, :]
    far = np.abs(place)
    spline = np.where(far <= 0.5, 0.75 - far**2, np.where(far < 1.5, 0.5 * (1.5 - far) ** 2, 0.0))
    return ColourTable((spline - 1 / _GREY_BASES).astype(np.float32), _GREY_BASES - 1)


def read_table(path: Path) -> ColourTable:
    """Read a user's colour table: 32768 rows of 3 to 16 numbers, in a .npy, .mat or text file.

    A row belongs to the colour R // 8 + 32 (G // 8) + 1024 (B // 8), as in the published tables of Colour
    Names (`CNnorm.mat` of ECO, `w2crs.mat` of van de Weijer).

    Raises:
        DataError: If the file cannot be read or holds anything else.
    """
    try:
        values = _numbers(path)
    except (OSError, ValueError, NotImplementedError, TypeError) as error:
        raise DataError(
            path, f"no table of colours can be read from it ({error})", "Give a .npy, .mat or text file"
        ) from error
    if values.ndim != 2 or values.shape[0] != ENTRIES or not 3 <= values.shape[1] <= 16:
        raise DataError(
            path,
            f"a table of shape {values.shape}",
            f"Give {ENTRIES} rows of 3 to 16 numbers, one per colour",
        )
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
        raise DataError(path, f"row {row} (from 0) is not finite: {values[row].tolist()}", "Correct the row")
    return ColourTable(np.ascontiguousarray(values, dtype=np.float32), int(values.shape[1]))


def _numbers(path: Path) -> NDArray[np.float64]:
    """The only array of a file."""
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return np.asarray(np.load(path, allow_pickle=False), dtype=np.float64)
    if suffix == ".mat":
        # Half a second to import, for those who have such a file.
        from scipy.io import loadmat
        from scipy.io.matlab import MatReadError

        try:
            found = [np.asarray(v) for name, v in loadmat(path).items() if not name.startswith("__")]
        except NotImplementedError:  # MATLAB 7.3 writes HDF5, and its columns are HDF5's rows
            found = _hdf5(path)
        except MatReadError as error:
            raise ValueError(str(error)) from error
        tables = [value for value in found if value.ndim == 2 and value.shape[0] == ENTRIES]
        if len(tables) != 1:
            raise ValueError(f"{len(tables)} variables of {ENTRIES} rows in it, not one")
        return tables[0].astype(np.float64)
    return np.loadtxt(path, dtype=np.float64)


def _hdf5(path: Path) -> list[NDArray[np.generic]]:
    """All arrays of a MATLAB file of version 7.3."""
    import h5py

    with h5py.File(path) as file:
        return [np.asarray(value[()]).T for value in file.values() if isinstance(value, h5py.Dataset)]


@compiled
def colour_cells(patch: Levels, table: Floats, cell: int, out: Floats) -> None:
    """Average a table's rows over the cells of a colour window.

    Args:
        patch: uint8 (H, W, 3), BGR.
        table: float32 (32768, C).
        cell: Side of a cell in pixels.
        out: float32 (H // cell, W // cell, C); overwritten.
    """
    rows, columns, channels = out.shape
    share = np.float32(1.0 / (cell * cell))
    out[:] = np.float32(0)
    for row in range(rows * cell):
        source = patch[row]
        for column in range(columns):
            target = out[row // cell, column]
            for x in range(column * cell, column * cell + cell):
                at = (
                    (np.int64(source[x, 2]) >> 3)
                    + ((np.int64(source[x, 1]) >> 3) << 5)
                    + ((np.int64(source[x, 0]) >> 3) << 10)
                )
                entry = table[at]
                for c in range(channels):
                    target[c] += entry[c]
    flat = out.reshape(-1)
    for i in range(flat.size):
        flat[i] *= share


@compiled
def grey_cells(patch: Levels, table: Floats, cell: int, out: Floats) -> None:
    """Average a table's rows over the cells of a grey window.

    Args:
        patch: uint8 (H, W).
        table: float32 (256, C).
        cell: Side of a cell in pixels.
        out: float32 (H // cell, W // cell, C); overwritten.
    """
    rows, columns, channels = out.shape
    share = np.float32(1.0 / (cell * cell))
    out[:] = np.float32(0)
    for row in range(rows * cell):
        source = patch[row]
        for column in range(columns):
            target = out[row // cell, column]
            for x in range(column * cell, column * cell + cell):
                entry = table[np.int64(source[x])]
                for c in range(channels):
                    target[c] += entry[c]
    flat = out.reshape(-1)
    for i in range(flat.size):
        flat[i] *= share
