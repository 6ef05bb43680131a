"""Trackers of real checkouts against their authors' own scripts.

PYTRACKING and PYSOT may name checkouts, EXTERNAL_PYTHON the interpreter of an environment in which they work.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from external_samples import listing

from teachers import registry
from teachers.base import Task
from teachers.seeds import seed_of


def clip(folder, length=6):
    """A textured square that moves and grows over a textured ground."""
    draw = np.random.RandomState(0)
    ground, square = draw.randint(0, 256, (240, 320, 3)), draw.randint(0, 256, (16, 12, 3))
    frames = []
    for t in range(length):
        frame = np.repeat(np.repeat(ground[::8, ::8], 8, 0), 8, 1).astype(np.uint8)
        patch = np.repeat(np.repeat(square, 4, 0), 4, 1)
        frame[80 + 2 * t : 80 + 2 * t + 64, 90 + 4 * t : 90 + 4 * t + 48] = patch
        frames.append(frame)
    seeds = [seed_of("real", t) for t in range(length)]
    np.savez(folder / "clip.npz", frames=frames, box=np.float64([90, 80, 48, 64]), seeds=seeds)
    return frames


@pytest.mark.parametrize(
    "use",
    ["pytracking:eco/default", "pytracking:atom/default", "pytracking:dimp/dimp50"]
    + [f"pysot:siamrpn_{net}_dwxcorr" for net in ("alex", "r50_l234", "mobilev2_l234")],
)
def test_a_real_checkout_gives_its_own_boxes(use, tmp_path):
    project, _, experiment = use.partition(":")
    checkout = os.environ.get(project.upper())
    if not checkout:
        pytest.skip(
            f"set {project.upper()} to a checkout of {project} (and EXTERNAL_PYTHON to its interpreter)"
        )
    python = os.environ.get("EXTERNAL_PYTHON", sys.executable)
    frames = clip(tmp_path)
    before = listing(Path(checkout))
    by_hand = [
        python,
        "-B",
        str(Path(__file__).parent / "upstream_by_hand.py"),
        project,
        experiment,
        checkout,
    ]
    files = [str(tmp_path / name) for name in ("clip.npz", "net.pth", "boxes.json")]
    subprocess.run([*by_hand, *files], check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    options = {"checkout": checkout, "weights": files[1], "python": python}
    teacher = registry.create(use, options)
    found = [teacher.start(frames[0], np.float32([90, 80, 48, 64]), Task("real", len(frames)))]
    found += [teacher.track(frame) for frame in frames[1:]]
    expected = np.float32(json.loads(Path(files[2]).read_text()))
    np.testing.assert_array_equal(found, expected)
    assert listing(Path(checkout)) == before
    if use == "pysot:siamrpn_alex_dwxcorr":
        native = registry.create("siamrpn", {"weights": files[1], "variant": "siamrpn_alex_dwxcorr"})
        ours = [native.start(frames[0], np.float32([90, 80, 48, 64]), Task("real", len(frames)))]
        ours += [native.track(frame) for frame in frames[1:]]
        np.testing.assert_allclose(ours, expected, atol=0.01)
