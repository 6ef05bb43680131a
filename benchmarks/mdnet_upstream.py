"""Runs a user's checkout of py-MDNet on some images, in a process of its own, and prints when it was done with each.

Called by `benchmarks/mdnet.py`; nothing of py-MDNet is part of this project. Its code is not changed: what a modern
Python and PyTorch lack is put in its way from outside (`scipy.misc.imresize`, contiguous patches).

Usage: python benchmarks/mdnet_upstream.py CHECKOUT WEIGHTS BATCH THREADS DEVICE SEED X,Y,W,H OUT.json IMAGE ...
"""

from __future__ import annotations

import os
import random
import sys
import time
import types
from pathlib import Path
from typing import Any

import numpy as np
import torch
from beside_upstream import write


class Clocked(list[str]):
    """A list of paths that notes when each is asked for: py-MDNet's loop gives no other sign of a frame's end."""

    def __init__(self, paths: list[str]) -> None:
        super().__init__(paths)
        self.times: list[float] = []

    def __getitem__(self, index: Any) -> Any:  # noqa: ANN401 - list's own signature
        self.times.append(time.perf_counter())
        return super().__getitem__(index)


def load(checkout: str, weights: str, batch: str, device: str) -> Any:  # noqa: ANN401 - the checkout's
    """Put everything in place and give the module that tracks: `run_mdnet(paths, box)`."""
    stub = types.ModuleType("scipy.misc")
    stub.imresize = None  # type: ignore[attr-defined]  # only functions that the tracker never calls use it
    sys.modules["scipy.misc"] = stub
    os.environ["MPLBACKEND"] = "Agg"
    weights, root = str(Path(weights).resolve()), Path(checkout).resolve()
    os.chdir(root)
    sys.path[:0] = [str(root), str(root / "tracking")]
    import run_tracker  # type: ignore[import-not-found]  # the checkout's

    run_tracker.opts.update(use_gpu=device != "cpu", model_path=weights, batch_test=int(batch))
    modules = [m for m in list(sys.modules.values()) if str(root) in str(getattr(m, "__file__", ""))]
    extractor = next(m.RegionExtractor for m in modules if hasattr(m, "RegionExtractor"))
    extract = extractor.extract_regions
    extractor.extract_regions = lambda self, *args: np.ascontiguousarray(extract(self, *args))
    return run_tracker


def main() -> None:
    """Run it and write the seconds of the start and of each frame, and the boxes."""
    checkout, weights, batch, threads, device, seed, box, out, *images = sys.argv[1:]
    images = [str(Path(i).resolve()) for i in images]
    out_path = Path(out).resolve()
    torch.set_num_threads(int(threads))
    run_tracker = load(checkout, weights, batch, device)
    random.seed(int(seed))
    np.random.seed(int(seed))  # noqa: NPY002 - the generator that py-MDNet uses
    torch.manual_seed(int(seed))
    paths = Clocked(images)
    first = np.array([float(v) for v in box.split(",")])
    began = time.perf_counter()
    _, boxes, _ = run_tracker.run_mdnet(paths, first)
    # The first image is asked for before the start, every other one when its frame begins.
    times = [began, *paths.times[1:], time.perf_counter()]
    write(out_path, {"seconds": np.diff(times).tolist(), "boxes": np.asarray(boxes).tolist()})


if __name__ == "__main__":
    main()
