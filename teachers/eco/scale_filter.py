"""The scale filter: a one-dimensional correlation filter over seventeen sizes of the target.

Source: Danelljan et al., Discriminative Scale Space Tracking, TPAMI 2017 (fDSST). Its two projections onto
orthonormal bases cancel exactly in the response, so they are left out.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from datasets.compiled import compiled
from teachers.eco.features import Noise
from teachers.eco.geometry import SCALE_STEP
from teachers.eco.window import scale_windows
from teachers.features.colour_fhog import ColourFHOG
from teachers.features.fhog import FHOG, LANES

Floats = NDArray[np.float32]
Levels = NDArray[np.uint8]

SCALES = 17
INTERPOLATED = 33
_CELL = 4
_MODEL_AREA = 512.0
_SMALLEST_MODEL = 8
_RATE = np.float32(0.025)
_LAMBDA = 1e-2
_SIGMA = 1 / 16


class ScaleFilter:
    """Estimates the target's scale; one video's.

    Args:
        target: Height and width of the target in frame 0, in image pixels.
        base: Height and width of the target at scale 1.
        grey: Whether the video has no colour.
        noise: Noise on HOG, or None.
    """

    def __init__(
        self, target: tuple[float, float], base: tuple[float, float], grey: bool, noise: Noise | None
    ) -> None:
        factor = min(1.0, math.sqrt(_MODEL_AREA / (target[0] * target[1])))
        height, width = (max(math.floor(size * factor), _SMALLEST_MODEL) for size in target)
        self._model, self._base, self._grey, self._noise = (height, width), base, grey, noise
        self._fhog = (FHOG if grey else ColourFHOG)(height, width, _CELL)
        cells = (self._fhog.rows, self._fhog.columns)
        self._ones = np.ones(cells, dtype=np.float32)
        place = np.arange(SCALES) - SCALES // 2
        self._factors = np.asarray(SCALE_STEP ** (place * (INTERPOLATED / SCALES)), dtype=np.float64)
        size = cells[0] * cells[1] * LANES
        self._samples = np.empty((SCALES, *cells, LANES), dtype=np.float32)
        half = SCALES // 2 + 1
        turns = np.arange(half)[:, None] * np.arange(SCALES)[None, :] % SCALES
        basis = np.hanning(SCALES) * np.exp(-2j * np.pi / SCALES * turns)
        self._basis = np.stack([basis.real, basis.imag]).astype(np.float32)
        self._series = np.empty((half, 2, size), dtype=np.float32)
        self._numerator = np.zeros_like(self._series)
        self._denominator = np.zeros(half)
        wanted = np.exp(
            -0.5 * (np.fft.ifftshift(place) * INTERPOLATED / SCALES / (_SIGMA * INTERPOLATED)) ** 2
        )
        self._label = np.fft.rfft(wanted).real
        steps = np.arange(INTERPOLATED)
        self._steps = SCALE_STEP ** (np.where(steps > INTERPOLATED // 2, steps - INTERPOLATED, steps)).astype(
            float
        )
        self._learned = False

    def estimate(self, image: Levels, position: tuple[float, float], scale: float) -> float:
        """Factor by which the target's scale has changed.

        Args:
            image: uint8 (H, W, 3), BGR.
            position: Row and column of the target's centre, 0-based.
            scale: The scale so far.
        """
        self._transform(image, position, scale)
        response = np.empty(len(self._series), dtype=np.complex128)
        _respond(self._numerator, self._series, response)
        response *= self._label / (self._denominator + _LAMBDA)
        values = np.fft.irfft(response, INTERPOLATED)
        return _vertex(values, self._steps)

    def learn(self, image: Levels, position: tuple[float, float], scale: float) -> None:
        """Take in the target at a position and scale."""
        self._transform(image, position, scale)
        rate = _RATE if self._learned else np.float32(1)
        _learn(self._series, rate, self._numerator, self._denominator)
        self._learned = True

    def _transform(self, image: Levels, position: tuple[float, float], scale: float) -> None:
        """Fill the series over scales of each feature."""
        windows = scale_windows(
            image,
            position,
            self._base,
            scale * self._factors,
            self._model,
            self._grey,
        )
        for window, sample in zip(windows, self._samples, strict=True):
            self._fhog(window, self._ones, sample)
        if self._noise is not None:
            self._noise.disturb(self._samples)
        _transform(self._samples.reshape(SCALES, -1), self._basis, self._series)


def _vertex(values: NDArray[np.float64], places: NDArray[np.float64]) -> float:
    """Place of the highest value, refined by the parabola through it and its cyclic neighbours."""
    best = int(values.argmax())
    around = [best - 1, best, (best + 1) % len(values)]
    (x1, x2, x3), (y1, y2, y3) = places[around], values[around]
    # Newton's divided differences.
    slope, other = (y2 - y1) / (x2 - x1), (y3 - y2) / (x3 - x2)
    bend = (other - slope) / (x3 - x1)
    if not bend < 0:
        return float(x2)
    return float((x1 + x2) / 2 - slope / (2 * bend))


@compiled
def _transform(samples: Floats, basis: Floats, out: Floats) -> None:
    """Set out[k] = sum_s basis[k, s] samples[s], as real and imaginary planes."""
    out[:] = np.float32(0)
    for k in range(out.shape[0]):
        for part in range(2):
            target = out[k, part]
            for s in range(samples.shape[0]):
                weight, source = basis[part, k, s], samples[s]
                for i in range(source.size):
                    target[i] += weight * source[i]


@compiled
def _respond(numerator: Floats, series: Floats, out: NDArray[np.complex128]) -> None:
    """Set out[k] = sum conj(numerator[k]) series[k]."""
    for k in range(out.size):
        a, b, p, q = numerator[k, 0], numerator[k, 1], series[k, 0], series[k, 1]
        real, imaginary = 0.0, 0.0
        for i in range(a.size):
            real += np.float64(a[i] * p[i] + b[i] * q[i])
            imaginary += np.float64(a[i] * q[i] - b[i] * p[i])
        out[k] = complex(real, imaginary)


@compiled
def _learn(series: Floats, rate: np.float32, numerator: Floats, denominator: NDArray[np.float64]) -> None:
    """Blend the series into the numerator, and their energy into the denominator."""
    keep = np.float32(1) - rate
    for k in range(series.shape[0]):
        energy = 0.0
        for part in range(2):
            source, target = series[k, part], numerator[k, part]
            for i in range(source.size):
                target[i] = keep * target[i] + rate * source[i]
                energy += np.float64(source[i] * source[i])
        denominator[k] = np.float64(keep) * denominator[k] + np.float64(rate) * energy
