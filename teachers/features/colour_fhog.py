"""FHOG of colour windows: every pixel votes with the gradient of the channel where it is longest.

Felzenszwalb's rule for colour, as Dollar's `fhog` has it: the channels are compared in the order red, green,
blue, and the first of equals counts. Votes, cells and normalisation are those of `FHOG`.
"""

from __future__ import annotations

import numpy as np

from teachers.features.fhog import FHOG
from teachers.features.fhog_kernels import Floats, Levels, colour_histogram, normalise


class ColourFHOG(FHOG):
    """FHOG of colour windows of one size; arguments and attributes as `FHOG`'s."""

    def __init__(self, height: int, width: int, cell: int = 4) -> None:
        super().__init__(height, width, cell)
        # The window's colours as planes, whose differences a processor takes many at a time.
        self._lines = np.empty((3, height, width), dtype=np.uint8)

    def __call__(self, patch: Levels, window: Floats, out: Floats) -> Floats:
        """Compute the features of a window.

        Args:
            patch: uint8 (height, width, 3), BGR, C-contiguous.
            window: Factor of each cell (a cosine window, or ones), float32 (rows, columns).
            out: float32 (rows, columns, 32), C-contiguous; overwritten.

        Returns:
            `out`: channels 0..17 signed, 18..26 unsigned, 27..30 texture, 31 zero.

        Raises:
            ValueError: If the patch has another size.
        """
        if patch.shape != (*self._shape, 3):
            raise ValueError(f"this FHOG is for colour patches of {self._shape}, not {patch.shape}")
        colour_histogram(
            patch, self._lines, self._magnitude, self._bins, self._bands, self._columns_of, self._weights,
            self._index, self._quadrant, self._votes, self._cells,
        )  # fmt: skip
        normalise(self._cells, self._norms, self._row, self._epsilon, window, out)
        return out
