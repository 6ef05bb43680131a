"""SiamRPN on one video, beside upstream's own code: same weights, same frames, one run.

Example:
    python benchmarks/siamrpn.py --pysot ~/pysot --variants siamrpn_alex_dwxcorr --threads 1 2

Both trackers take turns, frame by frame, so that whatever else the machine does hits both alike; the figure is the
median over the frames. Weights are random (deterministic, scaled so that the boxes stay finite), which changes
no cost. With `--device cuda` both run there. Upstream runs as its own tools/test.py does, and needs the packages that
it imports (yacs). Prints a Markdown table.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro

from teachers.base import Box, Image
from teachers.siamrpn.engine import prepared
from teachers.siamrpn.variants import VARIANTS

Step = Callable[[Image], Box]
"""The next frame to the box in it."""


@dataclass(frozen=True)
class Benchmark:
    """Milliseconds per frame of the native SiamRPN, and of upstream where a checkout is given.

    Attributes:
        pysot: A checkout of pysot (its root), or nothing to measure the native trackers alone.
        variants: Which trackers.
        threads: PyTorch's and OpenCV's threads, one row each.
        device: Where the networks are.
        frames: Frames per measurement.
        warm_up: Frames before it.
    """

    pysot: Path | None = None
    variants: tuple[str, ...] = ("siamrpn_alex_dwxcorr",)
    threads: tuple[int, ...] = (1, 2)
    device: str = "cpu"
    frames: int = 30
    warm_up: int = 3

    def run(self) -> int:
        """Measure and print."""
        heads = ["variant", "threads", "native ms", "native CPU ms", "upstream ms", "upstream CPU ms"]
        heads += ["times faster", "max px apart"]
        print("| " + " | ".join(heads) + " |")
        print("|---" * len(heads) + "|")
        for name in self.variants:
            for threads in self.threads:
                torch.set_num_threads(threads)
                print(self._row(name, threads), flush=True)
        return 0

    def _row(self, name: str, threads: int) -> str:
        images, box = _frames(self.frames + self.warm_up + 1)
        state = calm_weights(VARIANTS[name].build())
        steps = [_native(name, state, images[0], box, self.device)]
        if self.pysot is not None:
            steps.append(_upstream(self.pysot, name, state, images[0], box, self.device))
        wall: list[list[float]] = [[] for _ in steps]
        work: list[list[float]] = [[] for _ in steps]
        apart = 0.0
        for number, image in enumerate(images[1:]):
            found = []
            for step, walls, works in zip(steps, wall, work, strict=True):
                began, worked = time.perf_counter(), time.process_time()
                found.append(step(image))
                if number >= self.warm_up:
                    walls.append(1e3 * (time.perf_counter() - began))
                    works.append(1e3 * (time.process_time() - worked))
            apart = max(apart, float(np.abs(found[0] - found[-1]).max()))
        native, native_work = statistics.median(wall[0]), statistics.median(work[0])
        cells = [f"{native:.1f}", f"{native_work:.1f}"]
        if self.pysot is None:
            cells += ["", "", "", ""]
        else:
            upstream, upstream_work = statistics.median(wall[1]), statistics.median(work[1])
            ratios = sorted(u / n for u, n in zip(wall[1], wall[0], strict=True))
            cells += [
                f"{upstream:.1f}",
                f"{upstream_work:.1f}",
                f"{statistics.median(ratios):.2f}",
                f"{apart:.1e}",
            ]
        return "| " + " | ".join([name, str(threads), *cells]) + " |"


def _frames(count: int) -> tuple[list[Image], Box]:
    """A textured square that moves over noise, 640 x 360."""
    random = np.random.default_rng(0)
    background = random.integers(0, 256, (360, 640, 3), np.uint8)
    target = random.integers(0, 256, (90, 70, 3), np.uint8)
    images = []
    for t in range(count):
        image = background.copy()
        image[100 + t : 190 + t, 200 + 2 * t : 270 + 2 * t] = target
        images.append(image)
    return images, np.array([200, 100, 70, 90], np.float32)


def calm_weights(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """PyTorch's own initial weights, with last layers so small that the boxes hardly move."""
    for name, parameter in network.named_parameters():
        if ".head.3." in name:
            parameter.data *= 1e-2
    return network.state_dict()


def _native(name: str, state: dict[str, torch.Tensor], image: Image, box: Box, device: str) -> Step:
    network = VARIANTS[name].build()
    network.load_state_dict(state)
    tracker = prepared(network, replace(VARIANTS[name].tuning, start="pysot-init"), device)
    now = tracker.begin(image, box)

    def step(image: Image) -> Box:
        nonlocal now
        (after,) = tracker.step([now], [image])
        if isinstance(after, Exception):
            raise after
        now = after
        return now.box

    return step


def _upstream(
    root: Path, name: str, state: dict[str, torch.Tensor], image: Image, box: Box, device: str
) -> Step:
    tracker = upstream_tracker(root, name, state, device)
    tracker.init(image, box.tolist())
    return lambda image: np.asarray(tracker.track(image)["bbox"], np.float32)


def upstream_tracker(root: Path, name: str, state: dict[str, torch.Tensor], device: str) -> Any:  # noqa: ANN401
    """Upstream's tracker, whose configuration is global: the last one built is the one that runs."""
    settings, defaults = _configuration(root)
    from pysot.models.model_builder import ModelBuilder
    from pysot.tracker.tracker_builder import build_tracker

    # In place, since all of upstream holds this object; a file names only what differs from the defaults.
    settings.clear()
    settings.update(defaults.clone())
    settings.merge_from_file(str(root / "experiments" / name / "config.yaml"))
    settings.CUDA = device != "cpu"
    model = ModelBuilder()
    model.load_state_dict(state)
    return build_tracker(model.eval().to(device))


@lru_cache(maxsize=1)
def _configuration(root: Path) -> tuple[Any, Any]:
    """Upstream's global configuration, and a copy from before anything was merged into it."""
    sys.path.insert(0, str(root))
    from pysot.core.config import cfg

    return cfg, cfg.clone()


if __name__ == "__main__":
    sys.exit(tyro.cli(Benchmark, config=(tyro.conf.FlagCreatePairsOff,)).run())
