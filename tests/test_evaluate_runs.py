"""Evaluation runs: kept, resumed, scored again; boxes that are there and failing trackers; who gave the boxes."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import REPOSITORY
from evaluation_samples import KEYS, files, records, run, walk, write_boxes, write_got10k, write_images
from plain_measures import plain_otb

from datasets import open_dataset
from trainer.evaluate.tracker_spec import Defaults, read_trackers
from trainer.student import Student, StudentOptions, save_student


def test_a_run_is_kept_resumed_and_scored_again(small_videos, tmp_path):
    spec, out = f"synthetic:{small_videos}", tmp_path / "out"
    (first,) = records(tracker=("mosse",), dataset=(spec,), out=out, workers=1)
    assert list(first) == KEYS
    assert first["sequences"] == 6
    kept = files(out)
    assert len(kept) == 7
    results = out / "results" / "synthetic-train"
    victim = sorted(results.glob("mosse/*/*_001.txt"))[2]
    victim.unlink()
    times = {p: p.stat().st_mtime_ns for p in results.glob("mosse/*/*_001.txt")}
    code, _, err = run(tracker=("mosse",), dataset=(spec,), out=out, workers=1)
    assert code == 0
    assert "mosse: 1 of 1 video run" in err
    assert files(out) == kept
    assert all(p.stat().st_mtime_ns == time for p, time in times.items())
    (again,) = records(results=(results,), dataset=(spec,))
    assert {**again, "dataset": ""} == {**first, "dataset": ""}


def test_processes_write_the_same_boxes(small_videos, tmp_path):
    command = [sys.executable, "-m", "trainer.evaluate", "--tracker", "mosse", "M=mosse", "--format", "json"]
    command += ["--dataset", f"synthetic:{small_videos}", "--workers", "2", "--out", str(tmp_path / "two")]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [record["tracker"] for record in json.loads(done.stdout)] == ["mosse", "M"]
    assert records(
        tracker=("mosse", "M=mosse"), dataset=(f"synthetic:{small_videos}",), out=tmp_path / "one", workers=1
    ) == json.loads(done.stdout)
    assert files(tmp_path / "two") == files(tmp_path / "one")


def test_where_no_student_tracks_pytorch_is_not_loaded(small_videos, tmp_path):
    code = """
import sys
from pathlib import Path
from trainer.evaluate.command import Evaluate
spec, out = sys.argv[1], Path(sys.argv[2])
assert Evaluate(tracker=("mosse",), dataset=(spec,), out=out, workers=1).run() == 0
assert Evaluate(results=(out / "results" / "synthetic-train",), dataset=(spec,)).run() == 0
sys.exit("torch" in sys.modules)
"""
    command = [sys.executable, "-c", code, f"synthetic:{small_videos}", str(tmp_path / "out")]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_boxes_run_on_a_one_based_benchmark_are_one_based(tmp_path):
    truth, _ = walk(0)
    write_boxes(tmp_path / "OTB" / "Dog" / "groundtruth_rect.txt", truth, 1)
    write_images(tmp_path / "OTB" / "Dog" / "img", 12, digits=4)
    out = tmp_path / "out"
    (record,) = records(
        tracker=("S=evaluation_samples:Still",), dataset=(f"otb:{tmp_path / 'OTB'}",), out=out, workers=1
    )
    rows = np.loadtxt(out / "results" / "OTB-100" / "S" / "Dog" / "Dog_001.txt", delimiter=",")
    assert rows[0] == pytest.approx(truth[0] + np.float32([1, 1, 0, 0]), abs=1e-3)
    boxes = np.repeat(truth[:1], 12, axis=0)
    assert record["success_score"] == pytest.approx(plain_otb([truth], [boxes])[0])


def test_recordings_named_in_a_file_are_of_the_datasets_kind(tmp_path):
    truth, _ = walk(0)
    write_boxes(tmp_path / "OTB" / "Dog" / "groundtruth_rect.txt", truth, 1)
    write_images(tmp_path / "OTB" / "Dog" / "img", 12, digits=4)
    options = {"dataset": (f"otb:{tmp_path / 'OTB'}",), "workers": 1}
    (live,) = records(tracker=("S=evaluation_samples:Still",), out=tmp_path / "live", **options)
    results = tmp_path / "live" / "results" / "OTB-100"
    (tmp_path / "y").write_text(f"S: {{use: recorded, results: {results}, tracker: S}}")
    (again,) = records(trackers=tmp_path / "y", out=tmp_path / "again", **options)
    assert again == live
    for teachers in (
        f"{{S: {{use: recorded, results: {results}, tracker: S}}}}",
        f"['recorded:{results}/S']",
    ):
        (tmp_path / "y").write_text(f"A: {{use: trasfust, weights: w, teachers: {teachers}}}")
        (spec,) = read_trackers(tmp_path / "y", Defaults(kind="otb"))
        assert spec.options["teachers"]["S"]["kind"] == "otb"
    (tmp_path / "y").write_text("A: {use: trasfust, weights: w, teachers: [kcf]}")
    (spec,) = read_trackers(tmp_path / "y", Defaults(kind="otb"))
    assert spec.options["teachers"] == ["kcf"]
    (tmp_path / "y").write_text("A: {use: trasfust, weights: w, teachers: {K: kcf}}")
    with pytest.raises(ValueError, match="teacher K: its options are 'kcf'"):
        read_trackers(tmp_path / "y", Defaults(kind="otb"))


def test_other_options_do_not_mix_with_boxes_that_are_there(tmp_path, small_videos):
    spec, out = f"synthetic:{small_videos}", tmp_path / "out"
    assert run(tracker=("S=evaluation_samples:Still",), dataset=(spec,), out=out, workers=1)[0] == 0
    before = files(out)
    code, _, err = run(tracker=("S=evaluation_samples:Still,dx=1",), dataset=(spec,), out=out, workers=1)
    assert code == 2
    assert "S.json" in err
    assert "other options" in err
    (out / "results" / "synthetic-train" / "S.json").write_text("{")
    code, _, err = run(tracker=("S=evaluation_samples:Still",), dataset=(spec,), out=out, workers=1)
    assert code == 2
    assert "S.json: this is not JSON" in err
    (out / "results" / "synthetic-train" / "S.json").unlink()
    code, _, err = run(tracker=("S=evaluation_samples:Still",), dataset=(spec,), out=out, workers=1)
    assert code == 2
    assert "nobody knows what made them" in err
    assert {name for name in before if not name.endswith("S.json")} == set(files(out))


def test_a_tracker_that_fails_on_a_video_is_reported_and_not_scored(tmp_path):
    videos = {"GOT-10k_Val_000001": walk(1)[0], "GOT-10k_Val_poison": walk(2)[0]}
    write_got10k(tmp_path / "data", "val", videos)
    options = {"tracker": ("S=evaluation_samples:Still",), "dataset": (f"got10k:{tmp_path / 'data'}:val",)}
    code, out, err = run(**options, out=tmp_path / "out", workers=1)
    assert code == 2
    assert out == ""
    assert "S failed on GOT-10k_Val_poison: TeacherError: it was poisoned" in err
    assert "has no result for GOT-10k_Val_poison" in err
    assert "--missing omit" in err
    code, out, _ = run(**options, out=tmp_path / "out", workers=1, missing="omit")
    assert code == 1
    assert "S" in out
    assert not (tmp_path / "out" / "results" / "GOT-10k-val" / "S" / "GOT-10k_Val_poison").exists()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_tracker_that_ends_the_process_fails_its_videos(small_videos, tmp_path, workers):
    options = {"dataset": (f"synthetic:{small_videos}",), "out": tmp_path / "out", "workers": workers}
    code, _, err = run(tracker=("L=odd_teachers:Leaving",), **options)
    assert code == 2
    failed = [f"L failed on Synthetic_Train_00000{n}: SystemExit: no licence found" for n in range(1, 6)]
    assert [line for line in err.splitlines() if "failed" in line] == [*failed, "and 1 more failed"]
    results = tmp_path / "out" / "results" / "synthetic-train"
    assert err.splitlines()[-1].startswith(
        f"evaluate: {results}: no video came through, so there are no boxes"
    )


def test_a_tracker_that_kills_its_process_fails_that_video_and_the_others_go_on(small_videos, tmp_path):
    """As a crash in a tracker's native code does."""
    names = open_dataset(f"synthetic:{small_videos}").names
    options = {"dataset": (f"synthetic:{small_videos}",), "out": tmp_path / "out", "workers": 2}
    code, _, err = run(
        tracker=(f"C=evaluation_samples:Crashes,on={names[2]}", "mosse"), missing="omit", **options
    )
    assert code == 1
    failed = [line for line in err.splitlines() if "failed" in line]
    (line,) = failed
    assert line.startswith(f"C failed on {names[2]}: the worker process died, and once more with no other")
    assert "C: 5 of 6 videos run" in err and "mosse: 6 of 6 videos run" in err


def test_a_tracker_that_goes_elsewhere_leaves_its_results_here(small_videos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    code, _, err = run(
        tracker=(f"W=odd_teachers:Wanderer,log={elsewhere / 'log'}",),
        dataset=(f"synthetic:{small_videos.absolute()}",),
        out=Path("out"),
        workers=1,
    )
    assert code == 0, err
    assert len(list((tmp_path / "out").rglob("*_001.txt"))) == 6
    assert not list(elsewhere.iterdir())


def test_a_tracker_that_fails_keeps_no_other_from_being_run_and_scored(small_videos, tmp_path):
    write_got10k(tmp_path / "data", "val", {"GOT-10k_Val_poison": walk(2)[0]})
    options = {
        "tracker": ("S=evaluation_samples:Still", "mosse"),
        "dataset": (f"got10k:{tmp_path / 'data'}:val", f"synthetic:{small_videos}"),
        "out": tmp_path / "out",
        "workers": 1,
    }
    code, out, err = run(**options, format="json", report=tmp_path / "report")
    assert code == 1
    assert "S failed on GOT-10k_Val_poison" in err
    assert re.search(r"^left out: .*no results of 'S'", err, re.MULTILINE)
    found = [(record["tracker"], record["dataset"].partition(":")[0]) for record in json.loads(out)]
    assert found == [("mosse", "got10k"), ("S", "synthetic"), ("mosse", "synthetic")]
    code, _, err = run(**{**options, "dataset": (*options["dataset"], f"annotations:{tmp_path}")})
    assert code == 2


def test_fractions_of_who_gave_the_boxes(small_videos, tmp_path):
    options = {
        "tracker": ("S=evaluation_samples:Still",),
        "dataset": (f"synthetic:{small_videos}",),
        "out": tmp_path / "o",
    }
    code, out, err = run(**options, workers=1, fractions=True, report=tmp_path / "report")
    assert code == 0, err
    assert "student" in out
    (share,) = json.loads(run(**options, fractions=True, format="json")[1])
    frames = [len(v) for v in open_dataset(f"synthetic:{small_videos}")]
    kcf = sum(sum(t % 4 == 0 for t in range(1, n)) for n in frames) / (sum(frames) - len(frames))
    assert share["shares"] == pytest.approx({"student": 1 - kcf, "kcf": kcf})
    assert list(share["shares"]) == ["student", "kcf"]  # the largest first
    assert share["frames"] == sum(frames) - len(frames)
    assert (tmp_path / "report" / "fractions.svg").is_file()
    chosen = next((tmp_path / "o").rglob("*_chosen.txt"))
    whole = chosen.read_text()
    for text in ("student\n", whole + "student\n"):
        chosen.write_text(text)
        code, _, err = run(**options, fractions=True)
        assert code == 2
        assert f"{chosen}: {len(text.splitlines())} rows for {len(whole.splitlines())} boxes" in err


def test_the_papers_three_trackers_are_run_and_counted(small_videos, tmp_path):
    torch.manual_seed(0)
    save_student(tmp_path / "w.safetensors", Student(StudentOptions(backbone="tiny", width=16, crop_size=64)))
    excluded = tmp_path / "excluded.txt"
    excluded.write_text("".join(f"{name}\n" for name in open_dataset(f"synthetic:{small_videos}").names[2:]))
    options = {
        "tracker": ("tras", "trast", "trasfust"),
        "weights": tmp_path / "w.safetensors",
        "teachers": ("mosse",),
        "dataset": (f"synthetic:{small_videos}",),
        "out": tmp_path / "out",
        "exclude": excluded,
        "workers": 1,
    }
    rows = {row["tracker"]: row for row in records(**options)}
    (alone,) = records(**{**options, "tracker": ("mosse",), "weights": None, "teachers": ()})
    # A pool of one teacher gives that teacher's boxes, but for what is clipped at the image's border.
    assert rows["trasfust"]["ao"] == pytest.approx(alone["ao"], abs=1e-6)
    code, out, err = run(**options, fractions=True, format="json")
    assert code == 0, err
    assert "went on without" not in err
    shares = {share["tracker"]: share["shares"] for share in json.loads(out)}
    assert shares["tras"] == {"student": 1.0}
    assert shares["trasfust"] == {"mosse": 1.0}
    assert sum(shares["trast"].values()) == pytest.approx(1)
    assert set(shares["trast"]) <= {"student", "mosse"}
    broken = {"tracker": ("T=trast",), "teachers": ("B=evaluation_samples:Breaks",)}
    code, out, err = run(**{**options, **broken}, format="json")
    assert code == 0, err
    first = open_dataset(f"synthetic:{small_videos}").names[0]
    assert f"T went on without B on {first}: TeacherError: it broke" in err
    # Without its teacher TRAST is TRAS.
    (without,) = json.loads(out)
    assert without["ao"] == pytest.approx(rows["tras"]["ao"], abs=1e-6)


def test_nobody_is_fast_who_replays_boxes(small_videos, tmp_path):
    torch.manual_seed(0)
    save_student(tmp_path / "w.safetensors", Student(StudentOptions(backbone="tiny", width=16, crop_size=64)))
    excluded = tmp_path / "excluded.txt"
    excluded.write_text("".join(f"{name}\n" for name in open_dataset(f"synthetic:{small_videos}").names[1:]))
    options = {"dataset": (f"synthetic:{small_videos}",), "exclude": excluded, "workers": 1}
    first = {**options, "tracker": ("mosse",), "out": tmp_path / "first"}
    records(**first)
    results = next((tmp_path / "first").rglob("mosse"))
    students = {"tracker": ("trast", "trasfust"), "weights": tmp_path / "w.safetensors"}
    for teacher, known in (("mosse", True), (f"M=recorded:{results}", False)):
        again = {**options, **students, "teachers": (teacher,), "out": tmp_path / f"{known}"}
        code, out, err = run(**again)
        assert code == 0, err
        assert ("FPS" in out) == known
        for times in (tmp_path / f"{known}").rglob("*_time.txt"):
            assert (np.loadtxt(times) > 0).all() == known
