"""A small pool of two teachers, and the program that prints statistics."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from conftest import REPOSITORY

from datasets.video import Video
from pipeline.index import Index
from pipeline.params import SelectParams
from pipeline.trajectories import Status, Trajectories, Trajectory


def params(**changes: object) -> SelectParams:
    return SelectParams.model_validate(changes)


def stats_process(*arguments: str, folder: Path = Path()) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipeline.stats", *arguments]
    environment = {"PYTHONPATH": str(REPOSITORY), "PATH": "/usr/bin:/bin"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def small_pool() -> tuple[Index, dict[str, Trajectories]]:
    videos = []
    for number in range(6):
        boxes = np.tile(np.array([10, 10, 40, 30], np.float32), (60 + number, 1))
        absent = np.zeros(len(boxes), np.bool_)
        absent[20] = number == 5
        videos.append(Video(f"v{number}", (), boxes, absent))
    index = Index.of("test", videos)
    pool = {}
    for k, (name, level) in enumerate({"kcf": 0.62, "csrt": 0.85}.items()):
        rows = []
        for number, video in enumerate(videos):
            overlap = np.full(len(video), level)
            overlap[video.absent] = 0.0
            overlap[30] = 0.55 if number == k else level
            rows.append(Trajectory(video.ground_truth, overlap, Status.COMPLETED).until(0.5, video.absent))
        rows[3] = Trajectory(np.empty((0, 4), np.float32), np.empty(0), Status.FAILED, "it broke")
        pool[name] = Trajectories.of(name, index.fingerprint, 0.5, rows)
    return index, pool
