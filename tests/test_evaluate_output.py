"""What evaluation writes: tables, plots, and the archive for GOT-10k's server."""

import csv
import json
import zipfile

import cv2
import numpy as np
import pytest
from evaluation_samples import files, records, run, walk, write_boxes, write_got10k


def test_the_archive_for_the_server(tmp_path):
    videos = {f"GOT-10k_Test_{n:06d}": walk(n)[0] for n in (1, 2)}
    write_got10k(tmp_path / "data", "test", videos)
    options = {"tracker": ("S=evaluation_samples:Still",), "dataset": (f"got10k:{tmp_path / 'data'}:test",)}
    code, out, err = run(**options, out=tmp_path / "out", workers=1, format="json")
    assert code == 0, err
    assert json.loads(out) == []
    path = tmp_path / "out" / "S.zip"
    assert str(path) in err
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == [f"{n}/{n}_{what}.txt" for n in videos for what in ("001", "time")]
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_DEFLATED}
        boxes = np.loadtxt(archive.open("GOT-10k_Test_000001/GOT-10k_Test_000001_001.txt"), delimiter=",")
        assert boxes.shape == (12, 4)
        times = np.loadtxt(archive.open("GOT-10k_Test_000001/GOT-10k_Test_000001_time.txt"))
        assert (times >= 0).all()
    first = path.read_bytes()
    assert run(**options, out=tmp_path / "out")[0] == 0
    assert path.read_bytes() == first
    next((tmp_path / "out").rglob("*_time.txt")).unlink()
    code, _, err = run(**options, out=tmp_path / "out")
    assert code == 2
    assert "_time.txt" in err
    assert path.read_bytes() == first


@pytest.mark.parametrize(("frames", "cover"), [(12, 0), (1, 8)])
def test_a_split_in_which_no_frame_counts_is_not_taken_for_the_servers(tmp_path, frames, cover):
    truth = walk(1)[0][:frames]
    write_got10k(tmp_path / "data", "val", {"v": truth}, covers={"v": [cover] * frames})
    options = {"tracker": ("S=evaluation_samples:Still",), "dataset": (f"got10k:{tmp_path / 'data'}:val",)}
    code, out, err = run(**options, out=tmp_path / "out", workers=1, format="json")
    assert (code, out) == (2, "")
    assert f"{tmp_path / 'data'}: no frame of 1 video counts, so there is nothing to score" in err
    assert not (tmp_path / "out" / "S.zip").exists()


def test_two_splits_of_a_benchmark_are_two_groups_of_columns(tmp_path):
    for split in ("train", "val"):
        write_got10k(tmp_path / "G", split, {name: walk(n)[0] for n, name in enumerate("ab")})
    specs = [f"got10k:{tmp_path / 'G'}:{split}" for split in ("train", "val")]
    code, out, err = run(
        tracker=("S=evaluation_samples:Still",),
        dataset=specs,
        out=tmp_path / "out",
        workers=1,
        format="markdown",
    )
    assert code == 0, err
    assert out.splitlines()[0].startswith(f"| tracker | {specs[0]} AO |".replace("_", "\\_"))
    assert out.count("SR.50") == 2 and len(out.splitlines()) == 3


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (
            "v_001",
            lambda text: text.replace("\n", "\nNaN,NaN,NaN,NaN\n", 1).rsplit("\n", 2)[0] + "\n",
            "line 2: this row",
        ),
        ("v_002", lambda text: text.split("\n", 1)[1], "11 rows for a video of 12 frames"),
        ("v_002", None, "no repetition 2"),
        ("v_time", lambda text: "0.1\n" * 9, "9 rows for 12 frames"),
        ("v_time", lambda text: "0.1\n" * 13, "13 rows for 12 frames"),
        ("v_time", lambda text: "", "the file is empty"),
        ("v_time", None, "there is no such file"),
    ],
)
def test_what_the_server_would_refuse_is_not_packed(tmp_path, name, change, message):
    truth, _ = walk(1)
    write_got10k(tmp_path / "data", "test", {"v": truth})
    folder = tmp_path / "results" / "S" / "v"
    for number in (1, 2, 3):
        write_boxes(folder / f"v_{number:03d}.txt", truth)
    (folder / "v_time.txt").write_text("0.1,0.1,0.1\n" * 12)
    options = {"results": (tmp_path / "results",), "dataset": (f"got10k:{tmp_path / 'data'}:test",)}
    assert run(**options, tracker=("S",), out=tmp_path / "good")[0] == 0
    with zipfile.ZipFile(tmp_path / "good" / "S.zip") as archive:
        assert archive.namelist() == [f"v/v_{what}.txt" for what in ("001", "002", "003", "time")]
    path = folder / f"{name}.txt"
    if change is None:
        path.unlink()
    else:
        path.write_text(change(path.read_text()))
    code, _, err = run(**options, tracker=("S",), out=tmp_path / "bad")
    assert code == 2
    assert str(path) in err and message in err
    assert not (tmp_path / "bad").exists()


def test_results_in_another_layout_are_not_packed(tmp_path):
    truth, _ = walk(1)
    write_got10k(tmp_path / "data", "test", {"v": truth})
    write_boxes(tmp_path / "results" / "S" / "v.txt", truth)
    options = {"results": (tmp_path / "results",), "dataset": (f"got10k:{tmp_path / 'data'}:test",)}
    code, _, err = run(**options, tracker=("S",), out=tmp_path / "out")
    assert code == 2
    assert (
        "S's results are not in the GOT-10k toolkit's layout. Write <tracker>/<video>/<video>_001.txt" in err
    )


@pytest.fixture
def two_benchmarks(tmp_path):
    """Two trackers on one benchmark, one of them on another."""
    for benchmark, trackers in {"A": ("one", "two_x^2"), "B": ("one",)}.items():
        for v in range(2):
            truth, boxes = walk(v)
            write_boxes(tmp_path / benchmark / f"v{v}.txt", truth, 1)
            for n, tracker in enumerate(trackers):
                write_boxes(tmp_path / f"R{benchmark}" / tracker / f"v{v}.txt", boxes + n, 1)
    return {
        "dataset": (f"annotations:{tmp_path / 'A'}", f"annotations:{tmp_path / 'B'}"),
        "results": (tmp_path / "RA", tmp_path / "RB"),
    }


def test_tables_have_a_row_per_tracker_and_columns_per_benchmark(two_benchmarks):
    values = {(r["tracker"], r["dataset"]): r for r in records(**two_benchmarks)}
    one, two = (
        f"{values[name, two_benchmarks['dataset'][0]]['success_score']:.3f}" for name in ("one", "two_x^2")
    )
    table = run(**two_benchmarks)[1].splitlines()
    assert table[0].split() == ["A", "B"]
    assert table[1].split() == ["tracker", "SS", "PS", "SS", "PS"]
    assert table[3].split()[0] == "two_x^2"
    assert table[3].split()[3:] == ["–", "–"]
    (two_benchmarks["results"][0] / "one").rename(two_benchmarks["results"][0] / "[red]")
    assert run(**two_benchmarks)[1].splitlines()[2].split()[0] == "[red]"
    (two_benchmarks["results"][0] / "[red]").rename(two_benchmarks["results"][0] / "one")
    latex = run(**two_benchmarks, format="latex")[1]
    assert rf"one & \textbf{{{one}}}" in latex
    assert rf"two\_x\textasciicircum{{}}2 & \underline{{{two}}}" in latex
    assert r"\cmidrule(lr){2-3}\cmidrule(lr){4-5}" in latex
    markdown = run(**two_benchmarks, format="markdown")[1].splitlines()
    assert markdown[0] == "| tracker | A SS | A PS | B SS | B PS |"
    assert markdown[2].startswith(f"| one | **{one}** |")


def test_plots_and_tables_per_sequence(two_benchmarks, tmp_path):
    assert run(**two_benchmarks, report=tmp_path / "report")[0] == 0
    folder = tmp_path / "report" / "A"
    first = files(folder)
    assert sorted(first) == [
        "normalised-precision.svg",
        "one.csv",
        "precision.svg",
        "success.svg",
        "two_x^2.csv",
    ]
    with (folder / "one.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["sequence"] for row in rows] == ["v0", "v1"]
    mean = np.mean([float(row["success_score"]) for row in rows])
    assert mean == pytest.approx(records(**two_benchmarks)[0]["success_score"], abs=1e-5)
    assert b"one [" in first["success.svg"]
    assert run(**two_benchmarks, report=tmp_path / "report")[0] == 0
    assert files(folder) == first
    assert run(**two_benchmarks, report=tmp_path / "png", plots="png")[0] == 0
    assert cv2.imread(str(tmp_path / "png" / "A" / "success.png")) is not None
