"""What deep ECO knows of one target by one kind of features: projection, filter, samples."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datasets.compiled import compiled
from teachers.eco.conjugate_gradient import STEPS, diagonal, energy_of
from teachers.eco.deep.beginning import Beginning
from teachers.eco.deep.joint import SHARES, FirstFrame
from teachers.eco.deep.memory import Memory
from teachers.eco.deep.region import KINDS, Kind
from teachers.eco.deep.transform import transform_of
from teachers.eco.descent import Descent
from teachers.eco.fourier import Fourier
from teachers.eco.layout import Block, laid_out
from teachers.eco.projection import turn
from teachers.eco.regularisation import Regulariser
from teachers.eco.search_region import SearchRegion
from teachers.eco.vectors import advance

Floats = NDArray[np.float32]

FORGET = (1 - max(kind.rate for kind in KINDS)) ** 75
"""Weight of the last update's direction."""


class Part:
    """One kind of features of one target.

    Args:
        kind: Its numbers.
        region: The search region.
        beginning: Frame 0's samples.

    Attributes:
        n: Coefficients of a series along a side.
    """

    def __init__(self, kind: Kind, region: SearchRegion, beginning: Beginning) -> None:
        self.kind = kind
        maps = beginning.maps
        self._transform = transform_of(maps.shape[1], str(maps.device))
        self.n = n = self._transform.n
        self._block = Block(Fourier(n), kind.kept, 0, kind.label(region, n))
        self._layout = laid_out(self._block)
        self._regulariser = Regulariser(kind.window(region), self._layout)
        series = self._transform(maps).cpu().numpy()
        for sample, move in zip(series, beginning.moves, strict=True):
            turn(sample, self._block.fourier.shift(*move))
        first = FirstFrame(self._layout, self._regulariser, series, beginning.axes(kind.kept))
        first.learn()
        self.projection = torch.from_numpy(first.projection).to(maps.device)
        self._filters, self._energy = first.filters, first.energy
        self._make_real()
        self._memory = Memory(self._block, kind.rate, first.samples())
        self._descent = Descent(self._layout.weights, STEPS, FORGET)
        self._residual, self._cost = (np.zeros(self._layout.size, dtype=np.float32) for _ in range(2))

    def samples(self, maps: Tensor) -> Floats:
        """Series of projected maps, float32 (N, kept, 2, coefficients).

        Args:
            maps: float32 (N, cells, cells, channels): rows y, columns x.
        """
        return self._transform(maps @ self.projection).cpu().numpy()

    def responses(self, samples: Floats) -> Floats:
        """Series of the filter's responses, float32 (N, 2, coefficients)."""
        out = np.zeros((len(samples), *samples.shape[2:]), dtype=np.float32)
        _respond(samples, self._block.of(self._filters), out)
        return out

    def remember(self, sample: Floats, move: tuple[float, float]) -> None:
        """Keep a sample, float32 (kept, 2, coefficients), whose origin is moved; it is overwritten."""
        turn(sample, self._block.fourier.shift(*move))
        self._latest = sample.ravel()
        self._memory.add(self._latest)

    def learn(self) -> None:
        """Improve the filter on all samples; the latest one's energy counts in the preconditioner."""
        rate = np.float32(self.kind.rate)
        self._energy *= 1 - rate
        self._energy += rate * energy_of(self._latest, self._layout)
        equations = self._memory.equations()

        def apply(vector: Floats, out: Floats) -> None:
            equations.apply(vector, out)
            self._regulariser.add(vector, out)

        equations.right(self._residual)
        apply(self._filters, self._cost)
        advance(self._residual, np.float32(-1), self._cost)
        inverse = diagonal(self._energy, self._layout, self._regulariser, SHARES)
        self._descent.take(self._filters, self._residual, apply, inverse)
        self._make_real()

    def _make_real(self) -> None:
        """Make the column kx = 0 conjugate symmetric: the mean of its halves."""
        column = self._block.of(self._filters)[:, :, : self.n]
        mirrored = column[:, :, ::-1] * np.array([1, -1], dtype=np.float32)[:, None]
        column += mirrored
        column /= 2


@compiled
def _respond(samples: Floats, filters: Floats, out: Floats) -> None:
    """Add the sums over channels of samples times filters."""
    for n in range(samples.shape[0]):
        to_r, to_i = out[n, 0], out[n, 1]
        for c in range(samples.shape[1]):
            a, b, p, q = samples[n, c, 0], samples[n, c, 1], filters[c, 0], filters[c, 1]
            for k in range(to_r.size):
                to_r[k] += a[k] * p[k] - b[k] * q[k]
                to_i[k] += a[k] * q[k] + b[k] * p[k]
