"""The tracker: windows, features, detection and learning, frame by frame.

Source: J. F. Henriques, R. Caseiro, P. Martins, J. Batista, "High-Speed Tracking with Kernelized Correlation
Filters", TPAMI 2015, in the version with HOG features and a Gaussian kernel whose boxes the authors
published for OTB-100.
"""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from teachers.base import Box, Image, Task, TeacherError
from teachers.features.fhog import FHOG
from teachers.kcf.correlation import Correlation, Floats, blend, regress
from teachers.kcf.patch import Window
from teachers.kcf.spectrum import Spectrum
from teachers.target import checked_target, colour, refusal

LARGE = 100.0
"""Targets with sqrt(w h) of at least this many pixels are tracked in halved frames."""

SMALLEST_GRID = 3
"""Cells that a window needs in each direction: with fewer, the cosine window is all zeros."""


class Kcf:
    """Kernelized correlation filter of fixed scale; never reports failure, and its box may leave the image.

    The boxes move in steps of `cell` pixels (twice that for large targets), and the box returned for frame 0
    differs from the given one by up to half a pixel (1.5 for large targets), as in the published results.

    Args:
        padding: How much larger the window is than the target, in addition to it.
        lambda_: Regularisation of the ridge regression.
        output_sigma_factor: Width of the label's Gaussian, as a share of the target's size.
        kernel_sigma: Width of the Gaussian kernel.
        interp_factor: Share of a new frame in the model.
        cell: Side of a HOG cell in pixels.

    Raises:
        ValueError: If an option has no meaning.
    """

    version: ClassVar[int] = 1
    needs_images: ClassVar[bool] = True

    def __init__(
        self,
        *,
        padding: float = 1.5,
        lambda_: float = 1e-4,
        output_sigma_factor: float = 0.1,
        kernel_sigma: float = 0.5,
        interp_factor: float = 0.02,
        cell: int = 4,
    ) -> None:
        positive = {
            "padding": padding,
            "lambda_": lambda_,
            "output_sigma_factor": output_sigma_factor,
            "kernel_sigma": kernel_sigma,
            "interp_factor": interp_factor,
        }
        for name, value in positive.items():
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"kcf: {name} is {value}; give a positive number")
        if interp_factor > 1:
            raise ValueError(f"kcf: interp_factor is {interp_factor}; give a share of at most 1")
        if not (isinstance(cell, int) and 2 <= cell <= 32):
            raise ValueError(f"kcf: cell is {cell}; give a whole number of pixels from 2 to 32")
        self._padding, self._lambda, self._cell = padding, np.float32(lambda_), cell
        self._label_sigma, self._kernel_sigma = output_sigma_factor, kernel_sigma
        self._rate = np.float32(interp_factor)
        self._started = False

    def start(self, image: Image | None, box: Box, task: Task) -> Box:
        """Learn the target of a video's first frame.

        Args:
            image: Frame 0.
            box: The target, (x, y, w, h), 0-based.
            task: The video's name and length.

        Returns:
            The tracker's box for frame 0: the target's size around the tracker's whole-numbered centre.

        Raises:
            TeacherError: If the box is not valid, lies outside the image, or is too small for the features.
            ValueError: If the image is not a colour image.
        """
        self._started = False
        frame = colour(image, f"video {task.name}: kcf")
        x, y, w, h = checked_target(frame, box, task, "kcf")
        # The published code counts from 1, and its roundings show: so does all arithmetic until `_box`.
        target = np.array([h, w])
        self._position = np.array([y, x]) + 1 + np.floor(target / 2)
        self._halved = math.sqrt(h * w) >= LARGE
        self._size = (w, h)
        if self._halved:
            self._position, target = np.floor(self._position / 2), np.floor(target / 2)
        window = np.floor(target * (1 + self._padding)).astype(int)
        if min(window) // self._cell < SMALLEST_GRID:
            why = (
                f"it is too small, its window has {window[1]} x {window[0]} pixels, and "
                f"{SMALLEST_GRID} x {SMALLEST_GRID} cells of {self._cell} pixels are needed"
            )
            raise refusal(frame, box, task, "kcf", why)
        self._prepare(int(window[0]), int(window[1]), float(np.sqrt(target.prod())))
        self._extract(frame)
        self._learn(np.float32(1))
        self._started = True
        return self._box()

    def track(self, image: Image | None) -> Box:
        """Return the target's box in the next frame.

        Raises:
            TeacherError: If no video was started.
            ValueError: If the image is not a colour image.
        """
        if not self._started:
            raise TeacherError("kcf: track() before start()")
        frame = colour(image, "kcf")
        self._extract(frame)
        energies = self._new_energy + self._model_energy
        self._correlation.kernel(self._new, self._model, energies, self._kernel)
        row, column = self._correlation.peak(self._alpha, self._kernel)
        if (row, column) != (0, 0):
            rows, columns = self._window.shape
            self._position[0] += self._cell * (row - rows if row >= rows // 2 else row)
            self._position[1] += self._cell * (column - columns if column >= columns // 2 else column)
            # Otherwise the window for learning is the one just transformed.
            self._extract(frame)
        self._learn(self._rate)
        return self._box()

    def _prepare(self, height: int, width: int, size: float) -> None:
        """Allocate everything for a window of height x width pixels around a target of `size` pixels."""
        self._cut = Window(height, width, self._halved)
        self._fhog = FHOG(height, width, self._cell)
        self._pixels = np.array([height, width])
        rows, columns = self._fhog.rows, self._fhog.columns
        self._window = np.outer(np.hanning(rows), np.hanning(columns)).astype(np.float32)
        self._features = np.empty((rows, columns, 32), dtype=np.float32)
        self._spectrum = Spectrum(rows, columns)
        self._correlation = Correlation(rows, columns, self._kernel_sigma)
        self._label = self._correlation.forward(label(rows, columns, size * self._label_sigma / self._cell))
        self._new = np.empty(self._spectrum.shape, dtype=np.float32)
        self._model = np.zeros_like(self._new)
        self._alpha = np.zeros_like(self._label)
        self._kernel = np.empty_like(self._label)

    def _extract(self, frame: Image) -> None:
        """Compute the spectrum of the window at the current position."""
        top, left = (int(value) for value in np.floor(self._position) - self._pixels // 2)
        self._fhog(self._cut(frame, top, left), self._window, self._features)
        self._spectrum(self._features, self._new)
        self._new_energy = self._correlation.energy(self._new)

    def _learn(self, rate: np.float32) -> None:
        """Train on the current spectrum and blend the result into the model."""
        self._correlation.kernel(self._new, self._new, 2 * self._new_energy, self._kernel)
        regress(self._label, self._kernel, self._lambda, rate, self._alpha)
        blend(self._new, rate, self._model)
        self._model_energy = self._correlation.energy(self._model)

    def _box(self) -> Box:
        """The target's box, 0-based."""
        y, x = self._position * (2 if self._halved else 1)
        w, h = self._size
        return np.array([x - w / 2 - 1, y - h / 2 - 1, w, h], dtype=np.float32)


def label(rows: int, columns: int, sigma: float) -> Floats:
    """The regression's target: a Gaussian over circular offsets, float32 (rows, columns), 1 at [0, 0].

    Args:
        rows: Cells in a column.
        columns: Cells in a row.
        sigma: Its width, in cells.
    """
    squares = [
        np.where(d <= n - n // 2, d, d - n).astype(float) ** 2
        for n, d in ((size, np.arange(size)) for size in (rows, columns))
    ]
    squared = squares[0][:, None] + squares[1][None, :]
    values: Floats = np.exp(-squared / (2 * sigma**2)).astype(np.float32)
    return values
