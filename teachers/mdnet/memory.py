"""What a tracker remembers of a video: features of positives and negatives, one entry per collected frame."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from teachers.gpu.upload import uploaded


@dataclass(frozen=True)
class Rows:
    """Some rows of a block of features, in an order, without a copy of them.

    Attributes:
        storage: float32 (M, F).
        places: int64 (N,), on the same device.
    """

    storage: Tensor
    places: Tensor

    def __len__(self) -> int:
        """Number of rows N."""
        return len(self.places)

    def take(self, indices: Tensor) -> Tensor:
        """The features (K, F) of some of the rows, by their indices in [0, N)."""
        return self.storage.index_select(0, self.places[indices])

    @classmethod
    def all_of(cls, features: Tensor) -> Rows:
        """Every row of features (N, F)."""
        return cls(features, torch.arange(len(features), device=features.device))


class Memory:
    """Rows of features in one block of storage, in entries that come and go first in, first out.

    Storage is reserved once and lies where the network runs; on a CPU only pages that were written take memory.

    Args:
        first: Largest number of rows of the first entry.
        rows: Largest number of rows of each later entry.
        entries: How many entries are kept.
        width: Length of a feature F.
        device: Where it lies.
    """

    def __init__(self, first: int, rows: int, entries: int, width: int, device: torch.device) -> None:
        self._first, self._rows = first, rows
        self._storage = torch.empty(first + rows * entries, width, device=device)
        self._entries: deque[tuple[int, int]] = deque(maxlen=entries)
        self._added = 0

    def __len__(self) -> int:
        """Number of entries."""
        return len(self._entries)

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._added = 0

    def add(self, features: Tensor) -> None:
        """Append an entry of features (N, F); the oldest goes when there are too many. N may be 0."""
        limit = self._rows if self._added else self._first
        if len(features) > limit:
            raise ValueError(f"{len(features)} features in an entry of at most {limit}")
        # Entry k > 0 lies in block (k - 1) mod entries: whoever was there is the one that goes.
        start = (
            self._first + (self._added - 1) % (self._entries.maxlen or 1) * self._rows if self._added else 0
        )
        self._storage[start : start + len(features)] = features
        self._entries.append((start, len(features)))
        self._added += 1

    def rows(self, last: int | None = None) -> Rows:
        """The features of the last so many entries, or of all, oldest first."""
        kept = list(self._entries)[-last if last is not None else None :]
        places = [np.arange(start, start + count) for start, count in kept]
        joined = np.concatenate(places) if places else np.empty(0, np.int64)
        return Rows(self._storage, uploaded(joined, self._storage.device))
