"""Upstream's trackers over whole videos, one after the other, in a process of their own: what a user's loop takes.

Called by `benchmarks/lockstep.py`. Reading the images and starting on each video count, as they do there; loading the
network and one video to warm up do not.

Usage: python benchmarks/upstream_videos.py TEACHER CHECKOUT WEIGHTS DEVICE DATASET OUT.json
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from beside_upstream import ROOT

sys.path.insert(0, str(ROOT))
Run = Callable[[Sequence[str], Sequence[float]], Any]
"""Tracks one video: paths of its images, and the target in the first."""


def siamrpn(checkout: str, weights: str, device: str) -> Run:
    """Pysot's SiamRPN with AlexNet, in the loop of its tools/test.py."""
    from siamrpn import upstream_tracker

    state = torch.load(weights, weights_only=True)
    tracker = upstream_tracker(Path(checkout), "siamrpn_alex_dwxcorr", state, device)

    def run(paths: Sequence[str], box: Sequence[float]) -> None:
        for number, path in enumerate(paths):
            image = cv2.imread(path)
            if number:
                tracker.track(image)
            else:
                tracker.init(image, list(box))

    return run


def mdnet(checkout: str, weights: str, device: str) -> Run:
    """py-MDNet, in its own loop."""
    from mdnet_upstream import load

    tracker = load(checkout, weights, "256", device)
    return lambda paths, box: tracker.run_mdnet(list(paths), np.asarray(box, float))


def eco_deep(checkout: str, weights: str, device: str) -> Run:
    """Pytracking's ECO, in the loop of its evaluation."""
    from eco_deep_upstream import load

    tracker = load(checkout, weights, True, device)

    def run(paths: Sequence[str], box: Sequence[float]) -> None:
        for number, path in enumerate(paths):
            image = cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB)
            if number:
                tracker.track(image)
            else:
                tracker.initialize(image, {"init_bbox": list(box)})

    return run


def main() -> None:
    """Run it and write how many frames took how long."""
    teacher, checkout, weights, device, dataset, out = sys.argv[1:]
    from datasets import open_dataset

    videos = [
        ([str(Path(path).resolve()) for path in video.frames], video.ground_truth[0].tolist())
        for video in sorted(open_dataset(dataset), key=lambda video: -len(video))
    ]
    out_path = Path(out).resolve()
    run = {"siamrpn": siamrpn, "mdnet": mdnet, "eco-deep": eco_deep}[teacher](checkout, weights, device)
    run(*videos[-1])
    began, cpu = time.perf_counter(), time.process_time()
    for paths, box in videos:
        run(paths, box)
    took = {"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu}
    # Not to the output, which py-MDNet fills.
    out_path.write_text(json.dumps({**took, "frames": sum(len(paths) for paths, _ in videos)}))


if __name__ == "__main__":
    main()
