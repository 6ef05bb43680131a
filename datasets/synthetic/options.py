"""What a user may ask of the generator, and the lengths of its videos."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from blake3 import blake3
from pydantic import BaseModel, ConfigDict, Field, model_validator

GENERATOR_VERSION = 1
"""Raised whenever the same options give other videos."""

PREFIX = "Synthetic_Train_"
"""Of the videos' names."""

# Lengths of GOT-10k's training videos at the quantiles 0.5 %, 1.5 %, ..., 99.5 %: they cluster at 70, 80, 90
# and 100 frames (and one more), the median is 101, and one video in ten is longer than 280 frames.
LENGTH_QUANTILES = (
    *(69, 70, 70, 70, 71, 71, 77, 80, 80, 80, 80, 80, 81, 81, 81, 81, 81, 81, 81, 81, 87, 90, 90, 90, 90),
    *(91, 91, 91, 91, 91, 94, 99, 100, 100, 100, 100, 100, 100, 100, 100, 100, 100, 100, 100, 100, 101, 101),
    *(101, 101, 101, 101, 101, 101, 101, 101, 104, 110, 110, 111, 111, 111, 120, 120, 121, 121, 130, 130),
    *(131, 140, 141, 141, 150, 150, 151, 151, 161, 170, 171, 181, 190, 200, 200, 201, 201, 211, 221, 231),
    *(250, 261, 271, 291, 301, 321, 350, 390, 401, 451, 511, 611, 690),
)

IMAGE_SIZES = ((320, 180), (320, 240), (384, 216), (426, 240), (480, 270), (480, 360), (560, 316), (640, 360))
"""(width, height) of the images where the user fixes none; each video draws one."""

Side = Annotated[int, Field(strict=True, ge=64, le=4096)]
Share = Annotated[float, Field(strict=True, ge=0, le=1)]


class SyntheticOptions(BaseModel):
    """Which videos to make. A video is a function of these options (without `videos`) and of its index.

    Attributes:
        videos: How many. Video i is the same for any count.
        seed: Another seed gives other videos.
        max_length: Longest video in frames, or None for lengths drawn like GOT-10k's, up to 690. A shorter
            limit cuts a video, it does not change its first frames.
        image_size: (width, height) of every image, or None to draw each video's from `IMAGE_SIZES`.
        quality: JPEG quality.
        difficulty: Range of the videos' difficulty: at 0 a target glides, with constant size, over a calm
            background; at 1 it turns, changes its size, is occluded, leaves the image, and has doubles.
        turning: Share of the videos, easy or hard, whose target turns away and back about its upright axis, to
            which a tracker with boxes of one form has no answer. The other videos are those of share 0.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    videos: Annotated[int, Field(strict=True, ge=1, le=999_999)] = 40
    seed: Annotated[int, Field(strict=True, ge=0)] = 0
    max_length: Annotated[int, Field(strict=True, ge=2)] | None = None
    image_size: tuple[Side, Side] | None = None
    quality: Annotated[int, Field(strict=True, ge=1, le=100)] = 80
    difficulty: tuple[Share, Share] = (0.0, 1.0)
    turning: Share = 0.0

    @model_validator(mode="after")
    def _ordered(self) -> SyntheticOptions:
        if self.difficulty[0] > self.difficulty[1]:
            raise ValueError(f"difficulty is (easiest, hardest), not {self.difficulty}")
        return self


def video_name(index: int, prefix: str = PREFIX) -> str:
    """The name of video `index` (0-based), numbered from 1 as GOT-10k's are."""
    return f"{prefix}{index + 1:06d}"


def generator(seed: int, index: int, purpose: str) -> np.random.Generator:
    """Random numbers for one purpose of one video, which no other draw moves."""
    key = blake3(f"{seed}/{video_name(index)}/{purpose}".encode()).digest(length=8)
    return np.random.default_rng(int.from_bytes(key, "little"))


def full_length(seed: int, index: int) -> int:
    """The video's length in frames before `max_length` cuts it, distributed like GOT-10k's."""
    return int(generator(seed, index, "length").choice(LENGTH_QUANTILES))


def frames(index: int, options: SyntheticOptions) -> int:
    """The video's length in frames."""
    length = full_length(options.seed, index)
    return min(length, options.max_length or length)
