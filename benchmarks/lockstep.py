"""The track stage with many videos at once against one video at a time: frames per second of the whole stage.

Decoding, tracking, judging and the journal count; starting the processes does not: each row is two runs of
`pipeline.track`, of few and of more videos, and the figure is what the additional videos took. Nothing is abandoned, so
that every run tracks the same frames, and the last column tells whether the trajectories are the same bytes as with one
slot. With `--published` the networks have the published sizes and random weights, which changes no cost (and SiamRPN's
boxes are wild); otherwise they are the project's own slim ones.

Example:
    python benchmarks/lockstep.py --cpu-slots 1 4 16
    python benchmarks/lockstep.py --published --teachers siamrpn mdnet --videos 256 --fewer 64
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
import yaml

from datasets.command_line import run_only_command
from datasets.synthetic import SyntheticOptions, write_synthetic
from pipeline import places
from pipeline.index import Index, make_index
from pipeline.params import read_params
from pipeline.trajectories import Status, Trajectories
from teachers.mdnet.network import Network, Widths
from teachers.siamrpn.variants import VARIANTS

REPOSITORY = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Command:
    """Time the track stage at several numbers of slots, on the CPU and on the GPU where there is one.

    Example:
        python benchmarks/lockstep.py --teachers siamrpn --cpu-slots 1 4 16
    """

    teachers: tuple[str, ...] = ("siamrpn", "mdnet")
    """Teachers to time."""

    published: bool = False
    """Networks of the published sizes, with random weights."""

    videos: int = 24
    """Procedural videos of the longer run."""

    fewer: int = 8
    """Those of the shorter run, which is taken off."""

    max_length: int = 60
    """Frames of the longest video."""

    width: int = 640
    """Of the images; they are three quarters as high."""

    cpu_slots: tuple[int, ...] = (1, 4, 16)
    """Slots on the CPU; 1 is one video at a time in the stage's own process."""

    gpu_slots: tuple[int, ...] = (1, 16, 64, 256)
    """Slots on a GPU."""

    repetitions: int = 1
    """Runs of each kind, of which the fastest counts."""

    def run(self) -> int:
        """Print a markdown table."""
        print(
            "| teacher | device | slots | frames | frames/s | times one | same bytes |\n|---|---|---|---|---|---|---|"
        )
        places_of_work = [("cpu", self.cpu_slots)]
        if torch.cuda.is_available():
            places_of_work.append(("cuda", self.gpu_slots))
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            sets = [self._workspace(folder, count) for count in (self.fewer, self.videos)]
            for name in self.teachers:
                options = self._options(name, folder)
                for device, slots in places_of_work:
                    self._rows(name, {**options, "device": device}, slots, sets)
        return 0

    def _rows(self, name: str, options: dict[str, Any], slots: tuple[int, ...], sets: list[Path]) -> None:
        reference, base = None, 0.0
        for count in slots:
            times = [
                min(self._seconds(folder, name, options, count) for _ in range(self.repetitions))
                for folder in sets
            ]
            runs = [_read(folder, name) for folder in sets]
            frames = len(runs[1].boxes) - len(runs[0].boxes)
            rate = frames / (times[1] - times[0])
            found = (runs[1].boxes.tobytes(), runs[1].overlap.tobytes())
            reference, base = reference or found, base or rate
            failed = int((runs[1].status == Status.FAILED).sum())
            cells = [
                name,
                options["device"],
                count,
                f"{frames}" + (f" ({failed} videos failed)" if failed else ""),
            ]
            cells += [f"{rate:.1f}", f"{rate / base:.2f}", "yes" if found == reference else "no"]
            print("| " + " | ".join(map(str, cells)) + " |", flush=True)

    def _workspace(self, scratch: Path, count: int) -> Path:
        """A folder with so many videos and their index."""
        folder = scratch / str(count)
        size = (self.width, self.width * 3 // 4)
        options = SyntheticOptions(videos=count, seed=1, max_length=self.max_length, image_size=size)
        write_synthetic(folder / "videos", options, workers=1)
        _write_params(folder, "kcf", {}, 1)
        make_index(read_params(folder / places.PARAMS)).write(folder / places.INDEX)
        return folder

    def _options(self, name: str, folder: Path) -> dict[str, Any]:
        if not self.published:
            return {}
        torch.manual_seed(0)
        if name == "siamrpn":
            state = VARIANTS["siamrpn_alex_dwxcorr"].build().state_dict()
        elif name == "mdnet":
            state = Network(Widths()).state_dict()
        else:
            raise ValueError(f"--published knows siamrpn and mdnet, not {name!r}")
        path = folder / f"{name}.safetensors"
        safetensors.torch.save_file({key: value.contiguous() for key, value in state.items()}, path)
        return {"weights": str(path)}

    def _seconds(self, folder: Path, name: str, options: dict[str, Any], slots: int) -> float:
        """How long one run of the stage takes, from nothing."""
        shutil.rmtree(folder / places.JOURNAL, ignore_errors=True)
        _write_params(folder, name, options, slots)
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "pipeline.track", name],
            cwd=folder,
            check=True,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        )
        return time.perf_counter() - began


def _write_params(folder: Path, name: str, options: dict[str, Any], slots: int) -> None:
    document = {
        "dataset": {"kind": "got10k", "root": str(folder / "videos"), "split": "train"},
        "teachers": {name: options},
        "track": {"stop_below": None},
        "executor": {"workers": 1, "slots": {name: slots}},
    }
    (folder / places.PARAMS).write_text(yaml.safe_dump(document))


def _read(folder: Path, name: str) -> Trajectories:
    fingerprint = Index.read(folder / places.INDEX).fingerprint
    return Trajectories.read(folder / places.trajectories(name), fingerprint)


if __name__ == "__main__":
    sys.exit(run_only_command(Command, "python benchmarks/lockstep.py"))
