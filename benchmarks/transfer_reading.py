"""Frames per second of reading 32-frame windows at random: from a transfer set, and from the source folders.

    python benchmarks/transfer_reading.py got10k:../shared/data/got10k_layout:train --match wakeboard7
    python benchmarks/transfer_reading.py got10k:../shared/data/got10k_layout:train --match wakeboard7 \
        --target 100 200 400

One process, one thread, files in the page cache. Both sides decode every frame of the same windows in the same
random order into a list of 32 images: `cv2.imread` of the source images, and `Window.images()` of a set that holds
those windows. Passes are interleaved, medians are reported. The column "dropped" is `cv2.imread` without the list,
each image forgotten before the next is read: much of the time of a large image is the kernel's, which hands out and
takes back its memory, unless the C library happens to keep it. `--target` replaces the ground truth by made-up
targets of that size in pixels, one set per size, because the size of the target decides how much a region holds.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import tyro
from region_fidelity import made_up
from rich.console import Console
from rich.table import Table

from datasets.spec import open_dataset
from datasets.transfer.encoding import Encoding, encode_video
from datasets.transfer.reader import TransferReader
from datasets.transfer.record import Provenance, TransferSet
from datasets.transfer.writer import FramesWriter, write_set
from datasets.video import Video, absence

LENGTH, STRIDE = 32, 10


@dataclass(frozen=True)
class Reading:
    """Compare reading windows from a transfer set and from source folders.

    Example:
        python benchmarks/transfer_reading.py got10k:data/synthetic:train --windows 40
    """

    dataset: tyro.conf.Positional[str]
    """KIND:ROOT[:SPLIT]."""
    match: str = ""
    """Only videos whose name contains this."""
    target: tuple[int, ...] = ()
    """Made-up targets of these sizes instead of the ground truth."""
    enlarge: float = 1.0
    """Enlarge the source images first (1.5 makes 1920 x 1080 of 1280 x 720), as JPEG of quality 92."""
    kind: Literal["region", "source"] = "region"
    """Pixel encoding."""
    window_scale: float = Encoding.window_scale
    oversampling: float = Encoding.oversampling
    quality: int = Encoding.quality
    subsampling: Literal["444", "420"] = Encoding.subsampling
    windows: int = 20
    """Windows read per pass."""
    passes: int = 7
    """Passes per side."""
    seed: int = 0
    """Of the order."""
    json: bool = False
    """Print JSON."""


def enlarged(video: Video, factor: float, folder: Path) -> Video:
    """The same video with larger images, written into a folder."""
    paths = []
    for path in video.frames:
        image = cv2.resize(cv2.imread(str(path)), None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
        paths.append(folder / video.name / path.name)
        paths[-1].parent.mkdir(exist_ok=True)
        cv2.imwrite(str(paths[-1]), image, [cv2.IMWRITE_JPEG_QUALITY, 92])
    return replace(video, frames=paths, ground_truth=video.ground_truth * np.float32(factor))


def videos(a: Reading, folder: Path) -> list[Video]:
    """The videos that are read."""
    dataset = open_dataset(a.dataset)
    found = [dataset[name] for name in dataset.names if a.match in name]
    found = [v for v in found if len(v) >= LENGTH]
    if not found:
        raise SystemExit(f"{a.dataset}: no video called *{a.match}* has {LENGTH} frames")
    if a.enlarge != 1.0:
        found = [enlarged(v, a.enlarge, folder) for v in found]
    if not a.target:
        return found
    result = []
    for v in found:
        height, width = cv2.imread(str(v.frames[0])).shape[:2]
        for size in a.target:
            truth = made_up(len(v), (width, height), size, 0.05, np.random.default_rng(a.seed + size))
            result.append(Video(f"{v.name}-{size}", v.frames, truth, absence(truth)))
    return result


def build(found: list[Video], encoding: Encoding, folder: Path) -> Path:
    """A set of all windows of the videos, whose only teacher is the ground truth itself."""
    with FramesWriter(folder / "frames.h5", encoding) as frames:
        for v in found:
            frames.append(encode_video(v, np.arange(len(v)), encoding))
    cuts = [(n, s) for n, v in enumerate(found) for s in range(0, len(v) - LENGTH + 1, STRIDE)]
    truth = np.stack([found[n].ground_truth[s : s + LENGTH] for n, s in cuts])
    content = TransferSet(
        provenance=Provenance("truth", ("truth",), 0.5, STRIDE, 1000, 0, "ignore", "benchmark", "", ""),
        video_name=tuple(v.name for v in found),
        video_length=np.array([len(v) for v in found], dtype=np.int32),
        object_class=("",) * len(found),
        window_video=np.array([n for n, _ in cuts], dtype=np.int32),
        window_start=np.array([s for _, s in cuts], dtype=np.int32),
        ground_truth=truth,
        absent=np.stack([found[n].absent[s : s + LENGTH] for n, s in cuts]),
        teacher=truth[:, :, None],
    )
    write_set(folder / "truth-0.5.h5", content, folder / "frames.h5")
    return folder / "truth-0.5.h5"


def compare(a: Reading, folder: Path) -> dict:
    """Measure."""
    found = videos(a, folder)
    encoding = Encoding(
        a.kind,
        window_scale=a.window_scale,
        oversampling=a.oversampling,
        quality=a.quality,
        subsampling=a.subsampling,
    )
    path = build(found, encoding, folder)
    by_name = {v.name: v for v in found}
    rng = np.random.default_rng(a.seed)
    speeds: dict[str, list[float]] = {"folders": [], "set": [], "dropped": []}
    with TransferReader(path) as reader:
        for _ in range(a.passes):
            order = rng.choice(len(reader), a.windows)
            start = time.perf_counter()
            for n in order:
                v, s = by_name[reader[n].video], reader[n].start
                window = [cv2.imread(str(path)) for path in v.frames[s : s + LENGTH]]
            middle = time.perf_counter()
            for n in order:
                window = reader[n].images()
            end = time.perf_counter()
            del window
            for n in order:
                v, s = by_name[reader[n].video], reader[n].start
                for image_path in v.frames[s : s + LENGTH]:
                    cv2.imread(str(image_path))
            dropped = time.perf_counter()
            speeds["folders"].append(a.windows * LENGTH / (middle - start))
            speeds["set"].append(a.windows * LENGTH / (end - middle))
            speeds["dropped"].append(a.windows * LENGTH / (dropped - end))
        size = reader.pixels.tables["frames/size"].mean(axis=0)
        image = reader.pixels.tables["frames/image_size"].mean(axis=0)
        frames = len(reader.pixels)
    source = sum(p.stat().st_size for v in found for p in v.frames)
    folders, stored, dropped = (statistics.median(s) for s in speeds.values())
    return {
        "images": "x".join(str(round(v)) for v in image),
        "stored": "x".join(str(round(v)) for v in size),
        "frames": frames,
        "folders frames/s": round(folders),
        "dropped frames/s": round(dropped),
        "set frames/s": round(stored),
        "ratio": round(
            statistics.median(b / f for b, f in zip(speeds["set"], speeds["folders"], strict=True)), 2
        ),
        "ratio to dropped": round(
            statistics.median(b / f for b, f in zip(speeds["set"], speeds["dropped"], strict=True)), 2
        ),
        "folders kB/frame": round(source / frames / 1000, 1),
        "frames.h5 kB/frame": round((folder / "frames.h5").stat().st_size / frames / 1000, 1),
        "set kB": round(path.stat().st_size / 1000, 1),
    }


def main() -> None:
    """Parse the command line, measure, print."""
    a = tyro.cli(Reading)
    cv2.setNumThreads(1)
    rows = []
    for target in [(t,) for t in a.target] or [()]:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(
                {"target": "-".join(map(str, target)) or "own"}
                | compare(replace(a, target=target), Path(folder))
            )
    if a.json:
        print(json.dumps(rows))
        return
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*map(str, row.values()))
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
