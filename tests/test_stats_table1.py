"""Table 1 and the curves against loops: over text files of real clips, over random trajectories."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_measures import iou
from stats_samples import params, stats_process

from datasets.video import Video
from pipeline import curves
from pipeline.index import Index
from pipeline.params import SelectParams
from pipeline.select import select, window_starts
from pipeline.table1 import POOL, Cell, table1
from pipeline.trajectories import Status, Trajectories, Trajectory

if TYPE_CHECKING:
    from numpy.typing import NDArray

Drawn = tuple[Index, dict[str, Trajectories], SelectParams]

TEACHERS = ["KCF", "MDNet", "ECO", "SiamFC"]


# Independently of the pipeline: text files, plain loops, float64.


def rows_of(path: Path) -> list[list[float]]:
    return [[float(x) for x in re.split(r"[,\s]+", line.strip())] for line in path.read_text().splitlines()]


def expected_from_text(
    videos: Path, results: Path, teachers: list[str], beta: float
) -> dict[str, tuple[int, float, int]]:
    overlaps: dict[str, dict[str, list[float]]] = {teacher: {} for teacher in teachers}
    lengths = {}
    for name in (videos / "list.txt").read_text().split():
        truth = rows_of(videos / name / "groundtruth.txt")
        lengths[name] = len(truth)
        for teacher in teachers:
            file = results / teacher / name / f"{name}_001.txt"
            if file.is_file():
                pairs = zip(rows_of(file), truth, strict=True)
                overlaps[teacher][name] = [iou(a, b) for a, b in pairs][1:]
    kept = {t: {v: o for v, o in by_video.items() if min(o) > beta} for t, by_video in overlaps.items()}
    pool: dict[str, list[float]] = {}
    for name in lengths:
        mine = [kept[t][name] for t in teachers if name in kept[t]]
        if mine:
            pool[name] = [max(values) for values in zip(*mine, strict=True)]
    answer = {}
    for teacher, by_video in [*kept.items(), (POOL, pool)]:
        means = [sum(o) / len(o) for o in by_video.values()]
        windows = sum(min(5, len(range(0, lengths[v] - 32 + 1, 10))) for v in by_video)
        answer[teacher] = (len(means), sum(means) / len(means) if means else 0.0, windows)
    return answer


@pytest.fixture(scope="module")
def real_json(real_data: Path) -> list[dict[str, Any]]:
    """What the command line prints for the real clips and the recorded teachers."""
    done = stats_process(
        "--dataset", f"got10k:{real_data}/got10k_layout:train",
        "--results", str(real_data / "results/got10k_layout"),
        "--teachers", *TEACHERS, "--betas", "0.5", "0.6", "0.7", "0.8", "--format", "json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for teacher in TEACHERS:
        assert f"{teacher}: 1 of 41 trajectories failed" in done.stderr
    assert done.stderr.count("wakeboard7_01") == 4
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def test_real_clips_against_loops_over_the_text_files(
    real_json: list[dict[str, Any]], real_data: Path
) -> None:
    assert len(real_json) == 5 * 4
    for record in real_json:
        assert list(record) == ["pool", "beta", "trajectories", "ao", "windows"]
    for beta in (0.5, 0.6, 0.7, 0.8):
        wanted = expected_from_text(
            real_data / "got10k_layout/train", real_data / "results/got10k_layout", TEACHERS, beta
        )
        for record in real_json:
            if record["beta"] == beta:
                trajectories, ao, windows = wanted[str(record["pool"])]
                assert (record["trajectories"], record["windows"]) == (trajectories, windows), (record, beta)
                assert record["ao"] == pytest.approx(ao, abs=2e-6)  # boxes are kept as float32


def test_real_clips_against_the_known_numbers(real_json: list[dict[str, Any]]) -> None:
    known = {
        ("KCF", 0.5): (15, 0.757, 75), ("MDNet", 0.5): (22, 0.777, 109), ("ECO", 0.5): (20, 0.796, 99),
        ("SiamFC", 0.5): (15, 0.753, 75), ("pool", 0.5): (27, 0.814, 134), ("pool", 0.6): (25, 0.817, 124),
        ("pool", 0.7): (6, 0.840, 29), ("pool", 0.8): (0, 0.0, 0),
    }  # fmt: skip
    found = {
        (r["pool"], r["beta"]): (r["trajectories"], round(float(r["ao"]), 3), r["windows"]) for r in real_json
    }
    assert {key: found[key] for key in known} == known


def test_otb_results_flat_with_a_short_file(real_data: Path) -> None:
    done = stats_process(
        "--dataset", f"annotations:{real_data}/annotations/OTB100",
        "--results", str(real_data / "results/OTB100"),
        "--teachers", "KCF", "ECO", "--format", "json", "--absent", "ignore",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "tiger1.txt: 349 rows for a video of 354 frames" in done.stderr
    assert "ECO" not in done.stderr.replace("results", "")
    at_half = {r["pool"]: r["trajectories"] for r in json.loads(done.stdout) if r["beta"] == 0.5}
    assert at_half["pool"] >= at_half["ECO"] > at_half["KCF"] > 0


# Random trajectories against loops.


@st.composite
def pools(draw: st.DrawFn, teachers: int = 3) -> Drawn:
    """A few videos, some frames absent, and trajectories that complete, are abandoned at 0.3, or fail."""
    lengths = draw(st.lists(st.integers(1, 70), min_size=1, max_size=6))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    videos = []
    for number, length in enumerate(lengths):
        absent = random.random(length) < draw(st.sampled_from([0.0, 0.0, 0.1, 1.0]))
        boxes = np.tile(np.array([1, 2, 30, 40], np.float32), (length, 1))
        videos.append(Video(f"video {number}", (), boxes, absent))
    index = Index.of("test", videos)
    trajectories = {}
    for k in range(teachers):
        rows = []
        for video in videos:
            level = random.uniform(0.2, 1)
            overlap = np.round(random.uniform(level * 0.8, level, len(video)), 2)  # some are exactly at β
            overlap[video.absent] = 0.0
            whole = Trajectory(video.ground_truth, overlap, Status.COMPLETED)
            failed = Trajectory(np.empty((0, 4), np.float32), np.empty(0), Status.FAILED, "no")
            rows.append(failed if random.random() < 0.1 else whole.until(0.3, video.absent))
        trajectories[f"t{k}"] = Trajectories.of(f"t{k}", index.fingerprint, 0.3, rows)
    absent = draw(st.sampled_from(["fail", "ignore"]))
    return index, trajectories, params(betas=(0.3, 0.5, 0.62, 0.9), absent=absent)


def by_loops(index: Index, trajectories: dict[str, Trajectories], chosen: SelectParams) -> list[Cell]:
    cells = []
    for members in [[name] for name in trajectories] + [list(trajectories)]:
        for beta in chosen.betas:
            means, windows = [], 0
            for v in range(len(index)):
                absent = index.absent[index.rows(v)]
                frames = [t for t in range(1, len(absent)) if chosen.absent == "fail" or not absent[t]]
                kept = []
                for name in members:
                    one = trajectories[name][v]
                    if (
                        one.status == Status.COMPLETED
                        and frames
                        and all(one.overlap[t] > beta for t in frames)
                    ):
                        kept.append(one.overlap)
                if kept:
                    means.append(float(np.mean([max(o[t] for o in kept) for t in frames])))
                    windows += len(window_starts(index.names[v], len(absent), chosen))
            name = members[0] if len(members) == 1 else POOL
            cells.append(Cell(name, beta, len(means), float(np.mean(means)) if means else 0.0, windows))
    return cells


@settings(max_examples=60, deadline=None)
@given(pools())
def test_table_equals_loops(pool: Drawn) -> None:
    index, trajectories, chosen = pool
    found = table1(index, trajectories, select(index, trajectories, chosen))
    wanted = by_loops(index, trajectories, chosen)
    for a, b in zip(found, wanted, strict=True):
        assert (a.pool, a.beta, a.trajectories, a.windows) == (b.pool, b.beta, b.trajectories, b.windows)
        assert a.ao == pytest.approx(b.ao, abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(pools())
def test_survival_equals_loops_and_ends_at_table_1(pool: Drawn) -> None:
    index, trajectories, chosen = pool
    selection = select(index, trajectories, chosen)
    rows = curves.survival(index, trajectories, selection)
    for row in rows:
        names = list(trajectories) if row.pool == POOL else [row.pool]
        count = 0
        for v in range(len(index)):
            absent = index.absent[index.rows(v)]
            counted = [t for t in range(1, len(absent)) if chosen.absent == "fail" or not absent[t]]
            count += row.frame == 0 or any(
                above(trajectories[n][v], row.beta, row.frame, counted) for n in names
            )
        assert row.share == pytest.approx(count / len(index)), row
    last = {(row.pool, row.beta): row.share * len(index) for row in rows}
    for cell in table1(index, trajectories, selection):
        if index.lengths.max() > 1:
            assert last[cell.pool, cell.beta] == pytest.approx(cell.trajectories)


def above(one: Trajectory, beta: float, frame: int, counted: list[int]) -> bool:
    """Whether a trajectory holds above β on all frames that count up to this one."""
    if not counted or one.status == Status.FAILED:
        return False
    upto = [t for t in counted if t <= frame]
    return all(t < len(one) and one.overlap[t] > beta for t in upto)


@settings(max_examples=25, deadline=None)
@given(pools())
def test_curves_agree_with_the_table(pool: Drawn) -> None:
    index, trajectories, chosen = pool
    selection = select(index, trajectories, chosen)
    fine = {(c.pool, c.beta): c for c in curves.over_betas(index, trajectories, selection)}
    for cell in table1(index, trajectories, selection):
        assert fine[cell.pool, cell.beta] == cell
    for name in trajectories:
        counts = [row.frames for row in curves.overlaps(index, trajectories) if row.pool == name]
        tracked = sum(
            int((~index.absent[index.rows(v)][1 : len(trajectories[name][v])]).sum())
            for v in range(len(index))
        )
        assert sum(counts) == tracked
    for b, beta in enumerate(chosen.betas):
        frames = sum(
            row.frames for row in curves.best_teachers(index, trajectories, selection) if row.beta == beta
        )
        assert frames == frames_that_count(index, selection.videos(b), chosen.absent)


def frames_that_count(index: Index, videos: NDArray[np.bool_], absent: str) -> int:
    flags = [index.absent[index.rows(v)][1:] for v in range(len(index)) if videos[v]]
    return sum(len(f) - (int(f.sum()) if absent == "ignore" else 0) for f in flags)
