"""How faithful is `region`? The student's crop from stored windows against the crop from the source images.

    python benchmarks/region_fidelity.py ../shared/data/got10k_layout/train/wakeboard7_01
    python benchmarks/region_fidelity.py DIR --window-scale 2.5 3 4 --oversampling 1 1.25 1.5 --quality 85 90 95

The images of a folder in GOT-10k's layout are seen with made-up targets of every size asked for (0: with its own
ground truth), which move by `--motion` of their size per frame. A wandering box, as a student in training has, is
the target displaced by `--sigma` of its size and scaled by exp(sigma N(0, 1)). Printed per setting: PSNR over all
crops (of their mean squared error), the worst tenth's (10 % quantile), how many crops leave the stored window,
stored kilobytes per frame and milliseconds to decode one.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import tyro
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from datasets.boxes import Boxes, centres, is_valid
from datasets.images import decode_jpeg, read_with_content
from datasets.transfer.crop import crop_region
from datasets.transfer.encoding import Encoding, encode_video
from datasets.video import Video, absence


@dataclass(frozen=True)
class Fidelity:
    """Measure the fidelity of the `region` encoding.

    Example:
        python benchmarks/region_fidelity.py DIR --target 0 50 100 200 400
    """

    folder: tyro.conf.Positional[Path]
    """A video in GOT-10k's layout: JPEG images and groundtruth.txt."""
    target: Annotated[tuple[int, ...], tyro.conf.arg(metavar="PX")] = (0, 50, 100, 200, 300)
    """Sizes of made-up targets (geometric mean of width and height); 0 is the folder's own ground truth."""
    sigma: tuple[float, ...] = (0.1, 0.2, 0.3)
    """Standard deviations of the student's displacement, in target sizes, and of its log scale."""
    motion: float = 0.05
    """Standard deviation of a made-up target's step per frame, in target sizes."""
    window_scale: tuple[float, ...] = (Encoding.window_scale,)
    """k: stored window over ground truth."""
    oversampling: tuple[float, ...] = (Encoding.oversampling,)
    """Stored pixels per pixel of the student's crop."""
    quality: tuple[int, ...] = (Encoding.quality,)
    """JPEG quality."""
    subsampling: tuple[str, ...] = (Encoding.subsampling,)
    """JPEG chroma subsampling."""
    frames: int = 32
    """Frames used, from the first."""
    seed: int = 0
    """Of the boxes."""
    json: bool = False
    """Print JSON instead of a table."""


def made_up(length: int, image: tuple[int, int], size: int, motion: float, rng: np.random.Generator) -> Boxes:
    """A target of about `size` pixels that wanders inside the image, float32 (T, 4)."""
    aspect = rng.uniform(0.6, 1.6)
    wh = np.array([size * np.sqrt(aspect), size / np.sqrt(aspect)]) * np.exp(
        0.02 * np.cumsum(rng.normal(size=(length, 1)), axis=0)
    )
    centre = np.array(image) * rng.uniform(0.3, 0.7, 2) + np.cumsum(
        rng.normal(size=(length, 2)) * motion * size, axis=0
    )
    return np.concatenate([np.clip(centre, wh / 2, np.array(image) - wh / 2) - wh / 2, wh], axis=1).astype(
        np.float32
    )


def wandering(box: NDArray[np.float64], sigma: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """A student's box near a ground-truth box (4,)."""
    size = box[2:] * np.exp(sigma * rng.normal(size=2))
    return np.concatenate([centres(box) + sigma * rng.normal(size=2) * box[2:] - size / 2, size])


def measure(
    video: Video, encoding: Encoding, sigma: float, sources: Sequence[NDArray[np.uint8]], seed: int
) -> dict:
    """Compare every frame's crops at a wandering b_{t-1} and b_t."""
    rng = np.random.default_rng(seed)
    block = encode_video(video, np.arange(len(sources)), encoding)
    files = [block.data[a:b] for a, b in zip(block.offset[:-1], block.offset[1:], strict=True)]
    seconds = min(_decode_all(files) for _ in range(3))
    errors, left = [], []
    for t, source in enumerate(sources):
        height, width = source.shape[:2]
        stored = decode_jpeg(files[t], "RGB")
        for at in (max(t - 1, 0), t):
            if not is_valid(video.ground_truth[at]):
                continue
            box = wandering(video.ground_truth[at].astype(np.float64), sigma, rng)
            wanted = crop_region(source, (0, 0, width, height), (width, height), box).pixels
            found = crop_region(stored, block.window[t], (width, height), box)
            errors.append(np.mean((wanted.astype(float) - found.pixels) ** 2))
            left.append(not found.inside)
    psnr = [10 * np.log10(255**2 / max(e, 1e-6)) for e in errors]
    return {
        "psnr": round(float(10 * np.log10(255**2 / np.mean(errors))), 2),
        "psnr_10": round(float(np.quantile(psnr, 0.1)), 2),
        "left": round(float(np.mean(left)), 4),
        "kb": round(len(block.data) / len(block) / 1000, 1),
        "stored": [int(v) for v in block.size.mean(axis=0)],
        "decode_ms": round(1000 * seconds / len(files), 3),
    }


def _decode_all(files: Sequence[bytes]) -> float:
    start = time.perf_counter()
    for file in files:
        decode_jpeg(file, "RGB")
    return time.perf_counter() - start


def rows(a: Fidelity) -> Iterator[dict]:
    """One row per setting and target size."""
    paths = sorted(a.folder.glob("*.jpg"))[: a.frames]
    own = np.loadtxt(a.folder / "groundtruth.txt", delimiter=",", dtype=np.float32)[: a.frames]
    sources = [read_with_content(path)[1] for path in paths]
    image = (sources[0].shape[1], sources[0].shape[0])
    for size, sigma in product(a.target, a.sigma):
        truth = (
            made_up(len(paths), image, size, a.motion, np.random.default_rng(a.seed + size)) if size else own
        )
        video = Video(a.folder.name, paths, truth, absence(truth))
        for k, over, q, sub in product(a.window_scale, a.oversampling, a.quality, a.subsampling):
            encoding = Encoding(window_scale=k, oversampling=over, quality=q, subsampling=sub)
            setting = {
                "target": size,
                "sigma": sigma,
                "k": k,
                "oversampling": over,
                "quality": q,
                "chroma": sub,
            }
            yield setting | measure(video, encoding, sigma, sources, a.seed)


def main() -> None:
    """Parse the command line, measure, print."""
    arguments = tyro.cli(Fidelity)
    cv2.setNumThreads(1)
    found = list(rows(arguments))
    if arguments.json:
        print(json.dumps(found))
        return
    table = Table(*found[0])
    for row in found:
        table.add_row(*map(str, row.values()))
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
