"""Tiny datasets on disk, in the layouts of the benchmarks, for the tests of the readers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import simplejpeg


def jpeg(number: int = 0, width: int = 64, height: int = 48) -> bytes:
    """A small JPEG that differs from number to number."""
    rng = np.random.default_rng(number)
    return simplejpeg.encode_jpeg(rng.integers(0, 255, (height, width, 3), np.uint8), quality=80)


def write_images(folder: Path, numbers: range | list[int], digits: int = 8, **size: int) -> None:
    """Write numbered images."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        (folder / f"{number:0{digits}d}.jpg").write_bytes(jpeg(number, **size))


def rows(n: int, separator: str = ",", base: int = 0) -> str:
    """Ground truth of n frames: a box of 10 x 12 pixels that moves to the right."""
    return "".join(separator.join(map(str, (base + 5 + i, base + 7, 10, 12))) + "\n" for i in range(n))


def write_got10k(root: Path, videos: dict[str, int], split: str = "train", first: int = 1) -> Path:
    """Write a split in GOT-10k's layout: names and numbers of frames. Returns the split's folder."""
    folder = root / split
    for name, length in videos.items():
        write_images(folder / name, range(first, first + length))
        (folder / name / "groundtruth.txt").write_text(rows(length))
        (folder / name / "absence.label").write_text("0\n" * length)
    (folder / "list.txt").write_text("".join(f"{name}\n" for name in videos))
    return folder
