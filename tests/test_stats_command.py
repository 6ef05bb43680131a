"""`python -m pipeline.stats`: over a run of the pipeline, over result folders, and what the stage writes."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from stats_samples import params, small_pool, stats_process
from tiny_videos import write_got10k

from datasets.errors import DataError
from pipeline import formats, places, tables
from pipeline import select as select_stage
from pipeline.index import Index
from pipeline.select import select
from pipeline.stats import Command, Pool, recorded_pool, remarks, tracked_pool
from pipeline.trajectories import Trajectories

# A small run of the pipeline, written where `dvc repro` writes.


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
    text = printed(capsys, absent="ignore")
    assert "Absent frames: ignore. Videos that change if failing, by β: 0.5: 1, 0.6: 1." in text


def test_table_tells_whose_networks_stand_beside_the_papers(tracked: Path) -> None:
    pool = tracked_pool()
    slim = dataclasses.replace(pool, trajectories={"mdnet": pool.trajectories["kcf"]})
    said = ["slim" in "".join(remarks(each, paper=paper)) for each in (pool, slim) for paper in (False, True)]
    assert said == [False, False, False, True]


def test_failures_are_named_on_stderr(tracked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert Command(format="csv").run() == 0
    assert "kcf: 1 of 6 trajectories failed\n  it broke\n" in capsys.readouterr().err


@pytest.mark.parametrize("failed", [10, 11, 12])
def test_of_many_failures_some_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], failed: int
) -> None:
    for number in range(failed + 1):
        truth = tmp_path / "truth" / f"v{number}.txt"
        truth.parent.mkdir(exist_ok=True)
        truth.write_text("10,10,20,20\n" * 3)
    (tmp_path / "results" / "A").mkdir(parents=True)
    (tmp_path / "results" / "A" / "v0.txt").write_text("10,10,20,20\n" * 3)
    assert Command(dataset=f"annotations:{tmp_path / 'truth'}", results=tmp_path / "results").run() == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == f"A: {failed} of {failed + 1} trajectories failed"
    assert len(lines[1:11]) == 10 and all("no result for v" in line for line in lines[1:11])
    assert lines[11:] == ([f"  and {failed - 10} more"] if failed > 10 else [])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"betas": (0.4, 0.6)}, "β = 0.4 is too low: kcf stopped at 0.5"),
        ({"betas": (1.5,)}, "β = 1.5"),
        ({"teachers": ("eco",)}, "no teacher 'eco' among kcf, csrt"),
        ({"dataset": "otb:/x"}, "--dataset and --results belong together"),
        ({"exclude": Path("x")}, "--exclude goes with --dataset"),
        ({"base": 1}, "--base goes with --results"),
        ({"write": True, "betas": (0.5,)}, "--write keeps the statistics of params.yaml"),
        ({"write": True, "absent": "fail"}, "--write keeps the statistics of params.yaml"),
        ({"write": True, "dataset": "otb:/x", "results": Path("y")}, "--write keeps the statistics"),
    ],
)
def test_what_cannot_be_asked_for(tracked: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        Command(**options).run()


def test_without_any_run_it_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").touch()
    done = stats_process(folder=tmp_path)
    assert done.returncode == 2
    assert "dvc repro" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_selection_of_other_videos(tracked: Path) -> None:
    index, _ = small_pool()
    dataclasses.replace(index, names=["other", *index.names[1:]]).write(places.INDEX)
    with pytest.raises(ValueError, match="another index"):
        tracked_pool()


def test_a_selection_below_what_teachers_were_tracked_for_is_refused(tracked: Path) -> None:
    """Videos that were abandoned might count: fewer trajectories would pass for all."""
    for name in ("kcf", "csrt"):
        path = places.trajectories(name)
        trajectories = Trajectories.read(path, Index.read().fingerprint)
        dataclasses.replace(trajectories, stop_below=0.5).write(path)
    document = {
        "dataset": {"root": "/x"},
        "teachers": {"kcf": {}, "csrt": {}},
        "track": {"stop_below": 0.2},
        "select": {"betas": [0.2]},
    }
    Path("params.yaml").write_text(json.dumps(document))
    before = places.SELECTION.read_bytes()
    with pytest.raises(ValueError, match=r"β = 0.2 is too low: kcf stopped at 0.5"):
        select_stage.Command().run()
    assert places.SELECTION.read_bytes() == before


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
            rows[7] = rows[30] = "NaN,NaN,NaN,NaN\n"
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
    for part in (
        "v1",
        "39 rows for a video of 40 frames",
        "41 rows for a video of 40",
        "v4_001.txt: row 8 (frame 7)",
    ):
        assert part in err


def test_a_box_where_the_target_is_absent_overlaps_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Though one is annotated there: as in a trajectory that the stage track makes."""
    folder = write_got10k(tmp_path, {"a": 5})
    (folder / "a" / "absence.label").write_text("0\n0\n1\n0\n0\n")
    result = tmp_path / "results" / "T" / "a" / "a_001.txt"
    result.parent.mkdir(parents=True)
    result.write_text((folder / "a" / "groundtruth.txt").read_text())
    pool = recorded_pool(f"got10k:{tmp_path}:train", tmp_path / "results")
    assert pool.trajectories["T"].overlap.tolist() == [1, 1, 0, 1, 1]
    asked = {"dataset": f"got10k:{tmp_path}:train", "results": tmp_path / "results", "format": "json"}
    for absent, positive in (("fail", 0), ("ignore", 1)):
        assert json.loads(printed(capsys, **asked, absent=absent))[0]["trajectories"] == positive


def test_an_unknown_tracker_is_an_error(folders: tuple[Path, Path]) -> None:
    done = stats_process(
        "--dataset", f"annotations:{folders[0]}", "--results", str(folders[1]), "--teachers", "KCF"
    )  # fmt: skip
    assert done.returncode == 2
    assert "KCF" in done.stderr
    assert "Traceback" not in done.stderr


def test_results_that_count_pixels_from_0(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Annotations are taken to count from 1, as OTB's do: boxes from 0 lie a pixel beside them."""
    for file in (folders[1] / "A").glob("*/*.txt"):
        file.write_text(file.read_text().replace("10,10,", "9,9,"))
    cells = {}
    for base in (None, 0):
        asked = {"dataset": f"annotations:{folders[0]}", "results": folders[1], "format": "json"}
        cells[base] = json.loads(printed(capsys, **asked, betas=(0.9,), base=base))[0]
    assert (cells[None]["trajectories"], cells[0]["trajectories"], cells[0]["ao"]) == (0, 1, 1.0)


def test_results_that_tell_nothing_are_refused(folders: tuple[Path, Path], tmp_path: Path) -> None:
    """A table of zeros would pass for what the tracker did."""
    (folders[1] / "B").mkdir()
    (folders[1] / "B" / "other.txt").write_text("1,2,3,4\n")
    with pytest.raises(DataError, match=r"B has a result for none of the 5 videos, such as v0"):
        Command(dataset=f"annotations:{folders[0]}", results=folders[1]).run()
    split = write_got10k(tmp_path / "G", {"v0": 4}, "test")
    (split / "v0" / "groundtruth.txt").write_text("10,10,20,20\n")
    with pytest.raises(DataError, match="its ground truth is withheld"):
        Command(dataset=f"got10k:{tmp_path / 'G'}:test", results=folders[1], teachers=("A",)).run()


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
    """Teachers as they are written, and of one teacher the videos' order."""
    index, trajectories = small_pool()
    rows = [trajectories["kcf"][v] for v in range(len(index))]
    rows[1] = dataclasses.replace(rows[3], error="zero pixels")
    trajectories["kcf"] = Trajectories.of("kcf", index.fingerprint, 0.5, rows)
    pool = Pool(index, trajectories, select(index, trajectories, params()))
    assert list(pool.failed.items()) == [("kcf", ["zero pixels", "it broke"]), ("csrt", ["it broke"])]
    assert set(tables.metrics(index, trajectories, pool.selection, pool.table1())) == {
        "kcf",
        "csrt",
        "pool",
        "all videos",
    }
