"""Textures that move for ECO to follow, and series of functions for its parts."""

from __future__ import annotations

import math

import cv2
import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from teachers.base import Task, Teacher

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]
ODD = st.integers(2, 26).map(lambda m: 2 * m + 1)
SEEDS = st.integers(0, 2**32 - 1)
FEW = settings(max_examples=20, deadline=None)


def texture(seed: int, height: int, width: int, blur: float) -> Image:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return np.asarray(cv2.normalize(cv2.GaussianBlur(noise, (0, 0), blur), None, 0, 255, cv2.NORM_MINMAX))


def moving(frames: int = 14, growth: float = 1.0, colour: bool = True) -> tuple[list[Image], Floats]:
    """A textured square on a textured ground, moving along a sine and growing; images and true boxes."""
    ground, target = texture(7, 240, 320, 4), texture(8, 40, 40, 2)
    if not colour:
        ground, target = (np.repeat(image[..., :1], 3, axis=2) for image in (ground, target))
    images, boxes = [], []
    for t in range(frames):
        size = round(40 * growth**t)
        x, y = 60 + 4 * t, round(90 + 20 * math.sin(t / 4))
        image = ground.copy()
        image[y : y + size, x : x + size] = cv2.resize(target, (size, size))
        images.append(image)
        boxes.append((x, y, size, size))
    return images, np.array(boxes, dtype=np.float32)


def boxes_of(teacher: Teacher, frames: list[Image], box: Floats, name: str = "video") -> Floats:
    first = teacher.start(frames[0], box, Task(name, len(frames)))
    return np.array([first, *(teacher.track(frame) for frame in frames[1:])])


def as_complex(block: Floats) -> NDArray[np.complex128]:
    values: NDArray[np.complex128] = block[..., 0, :].astype(np.float64) + 1j * block[..., 1, :]
    return values
