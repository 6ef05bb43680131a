"""What lies between a scene and its file: light, blur, noise, JPEG."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from datasets.synthetic.render import streak
from datasets.synthetic.textures import Image

_GRAIN = 700


@dataclass(frozen=True)
class Lens:
    """One frame's conditions.

    Attributes:
        gains: Factors of blue, green and red.
        gamma: Exponent of the tones.
        haze: Share of grey laid over the image.
        motion: (dx, dy) pixels that everything moves while the shutter is open.
        defocus: Standard deviation of the blur, pixels; below 0.3 none.
        noise: Standard deviation of the noise, grey levels.
        grain: Where the noise is taken from the field of noise, (row, column).
        quality: JPEG quality, 0 for no compression.
        grey: The camera sees no colours.
    """

    gains: tuple[float, float, float]
    gamma: float
    haze: float
    motion: tuple[float, float]
    defocus: float
    noise: float
    grain: tuple[int, int]
    quality: int
    grey: bool


@lru_cache(maxsize=1)
def _noise() -> NDArray[np.float32]:
    """Unit noise, half of it as fine as pixels and half a little coarser (a camera's, after its processing)."""
    rng = np.random.default_rng(7)
    field = rng.standard_normal((_GRAIN, _GRAIN, 3), dtype=np.float32)
    coarse = cv2.GaussianBlur(field, (0, 0), 0.8)
    mixed = field * 0.6 + coarse / coarse.std() * 0.8
    return np.asarray(np.round(mixed * 32).clip(-127, 127) / 32, np.float32)


def developed(image: Image, lens: Lens) -> Image:
    """The picture that the camera writes: uint8 (h, w, 3), sides of at most 640 pixels."""
    kernel = streak(np.asarray(lens.motion))
    if kernel is not None:
        image = np.asarray(cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT_101), np.uint8)
    if lens.defocus >= 0.3:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), lens.defocus), np.uint8)
    tones = (np.arange(256) / 255.0) ** lens.gamma * (1 - lens.haze) + 0.6 * lens.haze
    table = np.clip(np.round(255 * tones[:, None] * lens.gains), 0, 255).astype(np.uint8)
    image = np.asarray(cv2.LUT(image, table[None]), np.uint8)
    if lens.grey:
        image = np.asarray(cv2.merge([cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)] * 3), np.uint8)
    if lens.noise >= 0.5:
        row, column = lens.grain
        grain = _noise()[row : row + image.shape[0], column : column + image.shape[1]]
        if lens.grey:
            grain = np.asarray(cv2.merge([grain[..., 0]] * 3), np.float32)
        noisy = cv2.scaleAdd(grain, lens.noise, image.astype(np.float32))
        image = np.clip(noisy, 0, 255).astype(np.uint8)
    if lens.quality:
        file = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, lens.quality])[1]
        image = np.asarray(cv2.imdecode(file, cv2.IMREAD_COLOR), np.uint8)
    return image
