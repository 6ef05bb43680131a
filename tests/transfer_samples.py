"""Small transfer sets made of drawn images, for the tests of the format."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from datasets.transfer.encoding import Encoding, encode_video
from datasets.transfer.record import Provenance, TransferSet
from datasets.transfer.writer import FramesWriter, write_set
from datasets.video import Video, absence

LENGTH = 4


def textured(rng: np.random.Generator, width: int, height: int, grain: int = 6) -> np.ndarray:
    """A smooth random image, uint8 (height, width, 3)."""
    coarse = rng.integers(0, 256, (max(height // grain, 2), max(width // grain, 2), 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def make_video(
    folder: Path,
    name: str = "alpha",
    frames: int = 9,
    size: tuple[int, int] = (72, 50),
    seed: int = 0,
    suffix: str = "jpg",
    grain: int = 6,
) -> Video:
    """A video of textured images with a target that moves."""
    rng = np.random.default_rng(seed)
    paths = []
    for t in range(frames):
        path = folder / name / f"{t + 1:08d}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), textured(rng, *size, grain))
        paths.append(path)
    width, height = size
    start = rng.uniform([0.2 * width, 0.2 * height], [0.5 * width, 0.5 * height])
    corner = start + np.cumsum(rng.normal(0, 1, (frames, 2)), axis=0)
    box = np.tile([0.25 * width, 0.3 * height], (frames, 1))
    truth = np.concatenate([corner, box], axis=1).astype(np.float32)
    return Video(name, paths, truth, absence(truth), "thing")


def content(videos: list[Video], starts: tuple[int, ...] = (0, 2, 5), beta: float = 0.5) -> TransferSet:
    """Windows of all videos, two teachers: the second is positive on the first video only."""
    cuts = [(v, s) for v in range(len(videos)) for s in starts if s + LENGTH <= len(videos[v])]
    truth = np.stack([videos[v].ground_truth[s : s + LENGTH] for v, s in cuts])
    rng = np.random.default_rng(5)
    teacher = truth[:, :, None] + rng.normal(0, 0.4, (len(cuts), LENGTH, 2, 4)).astype(np.float32)
    video = np.array([v for v, _ in cuts], dtype=np.int32)
    teacher[video > 0, :, 1] = np.nan
    provenance = Provenance("P", ("kcf", "Größe"), beta, 2, 5, 0, "fail", "got10k", "train", "abc", LENGTH)
    return TransferSet(
        provenance=provenance,
        video_name=tuple(v.name for v in videos),
        video_length=np.array([len(v) for v in videos], dtype=np.int32),
        object_class=tuple(v.object_class for v in videos),
        window_video=video,
        window_start=np.array([s for _, s in cuts], dtype=np.int32),
        ground_truth=truth,
        absent=np.stack([videos[v].absent[s : s + LENGTH] for v, s in cuts]),
        teacher=teacher,
    )


def write_sample(
    folder: Path, videos: list[Video], encoding: Encoding | None = None
) -> tuple[Path, TransferSet]:
    """frames.h5 and P-0.5.h5 in a folder."""
    encoding = encoding or Encoding()
    with FramesWriter(folder / "frames.h5", encoding) as frames:
        for video in videos:
            frames.append(encode_video(video, np.arange(len(video)), encoding))
    made = content(videos)
    write_set(folder / "P-0.5.h5", made, folder / "frames.h5")
    return folder / "P-0.5.h5", made


def changed(transfer_set: TransferSet, **values: np.ndarray) -> TransferSet:
    """The same set with other arrays."""
    return replace(transfer_set, **values)
