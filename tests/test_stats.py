"""Table 1: against loops over the text files, against loops over random trajectories, in every format."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets.video import Video
from pipeline import curves, formats, places, tables
from pipeline.index import Index
from pipeline.paper import paper_cells
from pipeline.params import SelectParams
from pipeline.select import select, window_starts
from pipeline.stats import Command, Pool, tracked_pool
from pipeline.table1 import POOL, Cell, table1
from pipeline.trajectories import Status, Trajectories, Trajectory

if TYPE_CHECKING:
    from numpy.typing import NDArray

Drawn = tuple[Index, dict[str, Trajectories], SelectParams]

TEACHERS = ["KCF", "MDNet", "ECO", "SiamFC"]


def params(**changes: object) -> SelectParams:
    return SelectParams.model_validate(changes)


# Independently of the pipeline: text files, plain loops, float64.


def rows_of(path: Path) -> list[list[float]]:
    return [[float(x) for x in re.split(r"[,\s]+", line.strip())] for line in path.read_text().splitlines()]


def iou(a: list[float], b: list[float]) -> float:
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    if min(*a[2:], *b[2:], width, height) <= 0:
        return 0.0
    return width * height / (a[2] * a[3] + b[2] * b[3] - width * height)


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


def stats_process(*arguments: str, folder: Path = Path()) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipeline.stats", *arguments]
    environment = {"PYTHONPATH": str(Path(__file__).resolve().parent.parent), "PATH": "/usr/bin:/bin"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


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


# A small run of the pipeline, written where `dvc repro` writes.


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


@pytest.fixture
def tracked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that holds what the stages index, track and select make, as the current one."""
    monkeypatch.chdir(tmp_path)
    index, trajectories = small_pool()
    index.write(places.INDEX)
    for name, one in trajectories.items():
        one.write(places.trajectories(name))
    select(index, trajectories, params(betas=(0.5, 0.6))).write(places.SELECTION)
    return tmp_path


def printed(capsys: pytest.CaptureFixture[str], **options: object) -> str:
    assert Command(**options).run() == 0  # type: ignore[arg-type]  # the options of one test after the other
    return capsys.readouterr().out


def test_what_the_stages_made(tracked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = {(r["pool"], r["beta"]): r for r in json.loads(printed(capsys, format="json"))}
    # Six videos; v3 failed for both, v5 has an absent frame, v0 (kcf) and v1 (csrt) fall to 0.55 once.
    assert [records[k]["trajectories"] for k in [("kcf", 0.5), ("kcf", 0.6), ("pool", 0.6)]] == [4, 3, 4]
    assert records["pool", 0.5]["windows"] == 3 + 3 + 4 + 4
    # v0: kcf is out at 0.6, so csrt alone; v1: kcf alone; v2 and v4: csrt is better everywhere.
    assert records["pool", 0.6]["ao"] == pytest.approx((0.85 * 3 + 0.62) / 4, abs=1e-6)


def test_other_betas_absent_policy_and_a_smaller_pool(
    tracked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = json.loads(
        printed(capsys, format="json", betas=(0.7, 0.5), absent="ignore", teachers=("csrt",))
    )
    assert [(r["pool"], r["beta"], r["trajectories"]) for r in records] == [
        ("csrt", 0.5, 5), ("csrt", 0.7, 4), ("pool", 0.5, 5), ("pool", 0.7, 4),
    ]  # fmt: skip


def test_table_tells_what_matters(tracked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, paper=True)
    assert max(map(len, text.splitlines())) <= formats.WIDTH
    assert "6 videos, 375 frames, 1 without target." in text
    assert "Absent frames: fail. Videos that change if ignored, by β: 0.5: 1, 0.6: 1." in text
    assert "Failed trajectories: kcf 1, csrt 1." in text
    assert re.search(r"^  paper +1884 0\.798 +9225 +1097 0\.836 +5349$", text, re.M)


def test_failures_are_named_on_stderr(tracked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert Command(format="csv").run() == 0
    assert "kcf: 1 of 6 trajectories failed\n  it broke\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"betas": (0.4, 0.6)}, "β = 0.4 is too low: kcf stopped at 0.5"),
        ({"betas": (1.5,)}, "β = 1.5"),
        ({"teachers": ("eco",)}, "no teacher 'eco' among kcf, csrt"),
        ({"dataset": "otb:/x"}, "--dataset and --results belong together"),
        ({"exclude": Path("x")}, "--exclude goes with --dataset"),
        ({"write": True, "betas": (0.5,)}, "--write keeps the statistics of params.yaml"),
    ],
)
def test_what_cannot_be_asked_for(tracked: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        Command(**options).run()


def test_without_any_run_it_says_what_to_do(tmp_path: Path) -> None:
    done = stats_process(folder=tmp_path)
    assert done.returncode == 2
    assert "dvc repro" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_selection_of_other_videos(tracked: Path) -> None:
    index, _ = small_pool()
    dataclasses.replace(index, names=["other", *index.names[1:]]).write(places.INDEX)
    with pytest.raises(ValueError, match="another index"):
        tracked_pool()


# Result folders.


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Five annotated videos, and results of A: complete, missing, short, long, not a box."""
    for number in range(5):
        truth = tmp_path / "truth" / f"v{number}.txt"
        truth.parent.mkdir(exist_ok=True)
        truth.write_text("10,10,20,20\n" * 40)
        rows = ["10,10,20,20\n"] * {2: 39, 3: 41}.get(number, 40)
        if number == 4:
            rows[7] = "NaN,NaN,NaN,NaN\n"
        folder = tmp_path / "results" / "A" / f"v{number}"
        if number != 1:
            folder.mkdir(parents=True)
            (folder / f"v{number}_001.txt").write_text("".join(rows))
    return tmp_path / "truth", tmp_path / "results"


def test_bad_results_fail_their_video_alone(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        Command(dataset=f"annotations:{folders[0]}", results=folders[1], betas=(0.9,), format="json").run()
        == 0
    )
    out, err = capsys.readouterr()
    assert json.loads(out) == [
        {"pool": pool, "beta": 0.9, "trajectories": 1, "ao": 1.0, "windows": 1} for pool in ("A", "pool")
    ]
    assert "A: 4 of 5 trajectories failed" in err
    for part in ("v1", "39 rows for a video of 40 frames", "41 rows for a video of 40", "frame 7 of v4"):
        assert part in err


def test_an_unknown_tracker_is_an_error(folders: tuple[Path, Path]) -> None:
    done = stats_process(
        "--dataset", f"annotations:{folders[0]}", "--results", str(folders[1]), "--teachers", "KCF"
    )  # fmt: skip
    assert done.returncode == 2
    assert "KCF" in done.stderr
    assert "Traceback" not in done.stderr


# Formats.


def cells_of() -> list[Cell]:
    index, trajectories = small_pool()
    return table1(index, trajectories, select(index, trajectories, params()))


def test_csv_is_what_pandas_reads() -> None:
    table = pd.read_csv(io.StringIO(formats.as_csv(cells_of(), paper=True)))
    assert list(table.columns[:5]) == ["pool", "beta", "trajectories", "ao", "windows"]
    assert len(table) == 15
    kcf = table[(table.pool == "kcf") & (table.beta == 0.5)].iloc[0]
    assert (kcf.trajectories, kcf.paper_trajectories, kcf.paper_ao, kcf.paper_windows) == (
        4,
        1884,
        0.798,
        9225,
    )
    assert table[table.pool == "csrt"].paper_ao.isna().all()


def test_paper_rows_are_matched_whatever_the_capitals() -> None:
    cell = Cell("SiamRPN", 0.5, 1, 0.9, 5)
    assert formats.as_records([cell], paper=True)[0]["paper"] == {
        "trajectories": 3913,
        "ao": 0.829,
        "windows": 19259,
    }
    other = Cell("SiamRPN", 0.55, 1, 0.9, 5)
    assert formats.as_records([other], paper=True)[0]["paper"] is None
    assert len(paper_cells()) == 25


def test_markdown_is_one_table() -> None:
    lines = formats.as_markdown(cells_of(), paper=True).splitlines()
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1
    assert re.fullmatch(r"\|:--\|(--:\|){15}", lines[1])
    assert len(lines) == 2 + 3 + 2  # kcf and pool have a line of the paper's


def test_latex_is_structurally_sound() -> None:
    cells = [Cell("a_b&c", c.beta, c.trajectories, c.ao, c.windows) for c in cells_of() if c.pool == "kcf"]
    text = formats.as_latex(cells, paper=True)
    assert text.count("\\begin{tabular}") == text.count("\\end{tabular}") == 1
    for rule in ("\\toprule", "\\midrule", "\\bottomrule"):
        assert text.count(rule) == 1
    columns = len(text.split("\\begin{tabular}{")[1].split("}")[0])
    body = text.split("\\midrule\n")[1].split("\\bottomrule")[0].splitlines()
    for line in body:
        assert len(re.findall(r"(?<!\\)&", line)) == columns - 1
        assert line.endswith("\\\\")
    assert body[0].startswith("a\\_b\\&c & ")
    assert text.count("{") == text.count("}")


def test_tables_fit_any_number_of_betas() -> None:
    cells = [Cell("a-teacher", round(b / 100, 2), 1234, 0.5, 12345) for b in range(50, 96)]
    text = formats.as_table(cells)
    assert max(map(len, text.splitlines())) <= formats.WIDTH
    assert text.count("β = ") == 46
    narrow = formats.as_table(cells, width=30)
    assert narrow.count("β = ") == 46


def test_no_positive_trajectory_at_all() -> None:
    index, trajectories = small_pool()
    cells = table1(index, trajectories, select(index, trajectories, params(betas=(0.97, 0.99))))
    assert {(c.trajectories, c.ao, c.windows) for c in cells} == {(0, 0.0, 0)}
    for form in formats.FORMATS.values():
        assert "nan" not in form(cells).lower()


# What the stage writes.


def test_write_makes_the_tables_of_dvc(tracked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert Command(write=True, format="csv").run() == 0
    rows = list(csv.DictReader(io.StringIO((places.REPORT / "table1.csv").read_text())))
    metrics = json.loads((places.REPORT / "metrics.json").read_text())
    for row in rows:
        assert metrics[row["pool"]][f"{float(row['beta']):g}"]["trajectories"] == int(row["trajectories"])
    assert metrics["all videos"] == {
        "videos": 6,
        "frames": 375,
        "changed_by_absent": {"0.5": 1, "0.6": 1},
        "failed": {"kcf": 1, "csrt": 1},
    }
    for name, columns in {
        "survival.csv": ["pool", "beta", "frame", "share"],
        "overlaps.csv": ["pool", "overlap", "frames", "share"],
        "betas.csv": ["pool", "beta", "trajectories", "ao", "windows"],
    }.items():
        table = pd.read_csv(places.REPORT / name)
        assert list(table.columns) == columns
        assert not table.isna().any().any()
    before = {path.name: path.read_bytes() for path in places.REPORT.iterdir()}
    assert Command(write=True, format="csv").run() == 0
    assert before == {path.name: path.read_bytes() for path in places.REPORT.iterdir()}


def test_failures_keep_their_order() -> None:
    index, trajectories = small_pool()
    pool = Pool(index, trajectories, select(index, trajectories, params()))
    assert pool.failed == {"kcf": ["it broke"], "csrt": ["it broke"]}
    assert set(tables.metrics(index, trajectories, pool.selection, pool.table1())) == {
        "kcf",
        "csrt",
        "pool",
        "all videos",
    }
