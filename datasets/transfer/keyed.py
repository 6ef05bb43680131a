"""Frames and windows of several sets in one order, so that what is the same stands side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FRAME = 0xFFFFFFFF
"""The part of a key that is the frame."""


@dataclass(frozen=True, eq=False)
class Keyed:
    """Frames or windows of all sets by video and frame; equal ones side by side, those of earlier sets first.

    Attributes:
        key: int64 (T,), video << 32 | frame.
        source: int64 (T,), which set.
        row: int64 (T,), which row of its arrays.
        first: bool (T,), the key stands here for the first time.
    """

    key: NDArray[np.int64]
    source: NDArray[np.int64]
    row: NDArray[np.int64]
    first: NDArray[np.bool_]

    @classmethod
    def of(cls, keys: Sequence[NDArray[np.int64]], rows: Sequence[NDArray[np.int64]]) -> Keyed:
        """Sort those of each set; keys and rows, int64, one array per set."""
        key, row = np.concatenate(keys), np.concatenate(rows)
        source = np.repeat(np.arange(len(keys)), list(map(len, keys)))
        order = np.lexsort((source, key))
        key = key[order]
        return cls(key, source[order], row[order], _first(key))

    def only(self, among: NDArray[np.bool_]) -> Keyed:
        """Some of them."""
        key = self.key[among]
        return Keyed(key, self.source[among], self.row[among], _first(key))

    def differing(self, values: NDArray[Any]) -> int | None:
        """The first place whose values, (T, ...), are not those of the place before it, though the key is."""
        flat = values.reshape(len(values), math.prod(values.shape[1:]))
        same = (flat[1:] == flat[:-1]) | ((flat[1:] != flat[1:]) & (flat[:-1] != flat[:-1]))  # NaN is NaN
        other = np.flatnonzero(~self.first[1:] & ~same.all(axis=1))
        return int(other[0]) + 1 if len(other) else None


def keys_of(video: NDArray[np.integer], frame: NDArray[np.integer]) -> NDArray[np.int64]:
    """Keys of frames, int64: video << 32 | frame."""
    return (video.astype(np.int64) << 32) | frame


def _first(key: NDArray[np.int64]) -> NDArray[np.bool_]:
    return np.append(True, np.diff(key) != 0)[: len(key)]
