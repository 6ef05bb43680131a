"""`python -m teachers.training.videos`: write the training scenes as videos, in GOT-10k's layout.

The default networks learn from pairs and clips of these scenes as they are drawn. A student learns from transfer
sets, which take videos on disk. They look more like real video than those of `python -m datasets synth` (surfaces,
poses, lens), and know less of a video's course: a target is never hidden whole, and never leaves.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import simplejpeg
from tyro.conf import Positional

from datasets.command_line import run_only_command
from datasets.processes import cores
from datasets.synthetic.options import IMAGE_SIZES, video_name
from datasets.synthetic.writer import Drawing, write_videos
from teachers.training.clips import clip

VERSION = 1
"""Raised whenever the same options give other videos."""

PREFIX = "Scene_"
LENGTHS = (66, 100)
"""Frames: at least the first, below the second; room for some windows of 32."""
QUALITY = 90


@dataclass(frozen=True)
class Write:
    """Write the training scenes as videos, in GOT-10k's layout.

    Video i is the same for any number of videos and workers. A killed run is resumed by the same command; a complete
    folder is left alone. 1,000 videos took one process 10 minutes, and 2.2 GB.

    Example:
        python -m teachers.training.videos data/scenes --videos 1000 --seed 5
    """

    out: Positional[Path]
    """Folder to write; the videos lie in its sub-folder `train`."""
    videos: int = 1000
    """How many videos."""
    seed: int = 5
    """Another seed gives other videos. The networks that the project ships learned from scenes of seeds 0 and 1."""
    workers: int = field(default_factory=cores)
    """Processes that draw."""
    overwrite: bool = False
    """Replace videos of other options that lie there."""

    def run(self) -> int:
        """Write the videos."""
        if not 1 <= self.videos <= 999_999 or self.seed < 0:
            raise ValueError(f"--videos {self.videos} --seed {self.seed}: give 1 to 999,999, and at least 0")
        drawing = Drawing(
            program="python -m teachers.training.videos",
            marker="scenes.json",
            version=VERSION,
            options={"seed": self.seed, "videos": self.videos},
            videos=self.videos,
            prefix=PREFIX,
            length=partial(frames, seed=self.seed),
            write=partial(write_scene, seed=self.seed),
        )
        write_videos(self.out, drawing, self.workers, progress=True, overwrite=self.overwrite)
        return 0


def write_scene(folder: Path, index: int, seed: int) -> None:
    """Write one video as `folder`/NAME, which appears by rename: its images and the target's boxes.

    Args:
        folder: The split's folder.
        index: Which video, from 0.
        seed: Of all videos.
    """
    cv2.setNumThreads(1)  # the other cores draw other videos
    size, length = _form(index, seed)
    drawn = clip(seed, index, length, size)
    name = video_name(index, PREFIX)
    temporary = folder / f".{name}.tmp-{os.getpid()}"
    temporary.mkdir()
    for t, image in enumerate(drawn.images):
        jpeg = simplejpeg.encode_jpeg(image, quality=QUALITY, colorspace="BGR", colorsubsampling="420")
        (temporary / f"{t + 1:08d}.jpg").write_bytes(jpeg)
    rows = (",".join(f"{v:.4f}" for v in box) for box in drawn.boxes.tolist())
    (temporary / "groundtruth.txt").write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
    temporary.rename(folder / name)


def frames(index: int, seed: int) -> int:
    """The video's length in frames."""
    return _form(index, seed)[1]


def _form(index: int, seed: int) -> tuple[tuple[int, int], int]:
    """Size (W, H) of a video's images, and its length."""
    rng = np.random.default_rng([seed, 9, index])
    size = IMAGE_SIZES[rng.integers(len(IMAGE_SIZES))]
    return size, int(rng.integers(*LENGTHS))


if __name__ == "__main__":
    sys.exit(run_only_command(Write, "python -m teachers.training.videos"))
