"""The track stage: trajectories, failures, the journal, kills."""

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
import yaml
from conftest import REPOSITORY
from filelock import FileLock
from odd_teachers import Still, Wrapped

from datasets import open_dataset
from datasets.boxes import overlap
from datasets.errors import DataError
from datasets.results import write_results
from datasets.video import Video
from pipeline import failures, places
from pipeline.follow import Job, Outcome, WorkerError, built, decoded_ahead, follow, run_job
from pipeline.index import Index, make_index
from pipeline.journal import Entry, Journal
from pipeline.params import TeacherParams, read_params
from pipeline.results_pool import read_results
from pipeline.select import lowest_overlap
from pipeline.track import Command, recipe, track
from pipeline.trajectories import Status, Trajectories, Trajectory
from teachers.base import TeacherError
from teachers.options import TeacherConfigError


@pytest.fixture
def prepared(workspace, small_videos, monkeypatch):
    """A workspace whose index is made; returns a function that tracks with one teacher and gives its trajectories."""
    monkeypatch.syspath_prepend(str(REPOSITORY / "tests"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "tests")]))
    dataset = {"kind": "got10k", "root": str(small_videos), "split": "train"}
    workspace(dataset=dataset, teachers={"kcf": {}}, executor={"workers": 1})
    make_index(read_params()).write(places.INDEX)

    def run(use, stop_below=0.5, workers=1, name="t", **options):
        path = workspace(
            teachers={name: {"use": use, **options}},
            track={"stop_below": stop_below},
            select={"betas": [0.9]},
            executor={"workers": workers},
        )
        index = Index.read()
        trajectories = track(name, read_params(path), index)
        trajectories.write(places.trajectories(name))
        return index, trajectories

    return run


def test_overlaps_are_of_the_teachers_boxes_and_the_ground_truth(prepared):
    index, trajectories = prepared("odd_teachers:Still", stop_below=None)
    assert set(trajectories.status) == {Status.COMPLETED}
    for v in range(len(index)):
        truth, run = index.ground_truth[index.rows(v)], trajectories[v]
        np.testing.assert_array_equal(run.boxes, np.repeat(truth[:1], len(truth), axis=0))
        wanted = np.where(index.absent[index.rows(v)], 0, overlap(run.boxes, truth))
        np.testing.assert_array_equal(run.overlap, wanted)


def test_stopping_early_changes_no_positive_and_saves_frames(prepared):
    index, whole = prepared("odd_teachers:Still", stop_below=None, name="whole")
    _, stopped = prepared("odd_teachers:Still", stop_below=0.5, name="stopped")
    for ignore in (False, True):
        a, b = (lowest_overlap(index, t, ignore=ignore) for t in (whole, stopped))
        np.testing.assert_array_equal(a > 0.5, b > 0.5)
        np.testing.assert_array_equal(a[a > 0.5], b[b > 0.5])
    assert len(stopped.boxes) < len(whole.boxes)
    abandoned = [stopped[v] for v in range(len(index)) if stopped.status[v] == Status.ABANDONED]
    assert abandoned
    for run in abandoned:
        assert run.overlap[-1] <= 0.5
        assert (run.overlap[1:-1] > 0.5).all()


@pytest.mark.parametrize("use", ["kcf", "csrt"])
def test_real_trackers_give_the_same_file_with_one_worker_and_two(prepared, use):
    prepared(use, workers=1, name="one")
    prepared(use, workers=2, name="two")
    one, two = (
        Trajectories.read(places.trajectories(name), Index.read().fingerprint) for name in ("one", "two")
    )
    assert len(one.boxes) > 6
    for column in ("status", "offset", "boxes", "overlap"):
        np.testing.assert_array_equal(getattr(one, column), getattr(two, column))


def test_a_teacher_that_raises_fails_that_video_only(prepared, capsys):
    index, trajectories = prepared("odd_teachers:Raising", stop_below=None)
    odd = np.array([int(name[-1]) % 2 == 1 for name in index.names])
    np.testing.assert_array_equal(trajectories.status == Status.FAILED, odd)
    assert trajectories.errors[0] == "ZeroDivisionError: the target has no texture"
    assert failures.Command("t", json=True).run() == 0
    kept = json.loads(capsys.readouterr().out)
    assert [row["video"] for row in kept] == [name for name, o in zip(index.names, odd, strict=True) if o]
    assert all("odd_teachers.py" in row["traceback"] and "in track" in row["traceback"] for row in kept)


@pytest.mark.parametrize(("use", "said"), [("NotANumber", "nan"), ("Nothing", "None")])
def test_what_is_not_a_box_fails_the_video_and_is_shown(prepared, use, said):
    index, trajectories = prepared(f"odd_teachers:{use}")
    assert set(trajectories.status) == {Status.FAILED}
    assert all(said in error and "frame 1" in error for error in trajectories.errors)
    assert all(name in error for name, error in zip(index.names, trajectories.errors, strict=True))


def test_a_video_that_kills_its_worker_every_time_fails_and_the_others_go_on(prepared, monkeypatch, tmp_path):
    """As a crash in a tracker's native code does."""
    (tmp_path / "crash.py").write_text(
        "import os, signal\nfrom odd_teachers import Still\n"
        "class Crash(Still):\n"
        "    def start(self, image, box, task):\n"
        "        if task.name.endswith('3'):\n"
        "            os.kill(os.getpid(), signal.SIGKILL)\n"
        "        return super().start(image, box, task)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ["PYTHONPATH"]]))
    index, trajectories = prepared("crash:Crash", workers=2)
    failed = [
        name for name, status in zip(index.names, trajectories.status, strict=True) if status == Status.FAILED
    ]
    assert failed == ["Synthetic_Train_000003"]
    assert "worker process died" in trajectories.errors[2]


def test_a_second_run_tracks_nothing_and_a_lower_threshold_only_what_was_cut(prepared, tmp_path):
    log = tmp_path / "log"
    prepared("odd_teachers:Counting", stop_below=0.5, log=str(log))
    assert len(log.read_text().splitlines()) == 6
    first = places.trajectories("t").read_bytes()
    log.unlink()
    # The log's path is an option, and its content would be part of the recipe if it were still there.
    prepared("odd_teachers:Counting", stop_below=0.5, log=str(log))
    assert not log.exists()
    assert places.trajectories("t").read_bytes() == first
    _, higher = prepared("odd_teachers:Counting", stop_below=0.55, log=str(log))
    assert not log.exists()
    _, lower = prepared("odd_teachers:Counting", stop_below=0.2, log=str(log))
    cut = len(log.read_text().splitlines())
    assert 0 < cut < 6
    assert len(higher.boxes) <= len(lower.boxes)
    log.unlink()
    prepared("odd_teachers:Counting", stop_below=0.2, log=str(log))
    assert not log.exists()


@pytest.mark.parametrize(
    ("status", "wanted"),
    [(Status.COMPLETED, [0.0, 0.4, 0.5, 0.6, None]), (Status.ABANDONED, [0.5, 0.6]), (Status.FAILED, [])],
)
def test_a_row_of_the_journal_answers_for_its_video_and_for_thresholds_that_it_reached(status, wanted):
    entry = Entry(Outcome(Trajectory(np.zeros((2, 4), np.float32), np.zeros(2), status), "", 0), "a", 0.5)
    asked = (0.0, 0.4, 0.5, 0.6, None)
    assert [stop for stop in asked if entry.serves("a", stop)] == wanted
    assert not any(entry.serves("b", stop) for stop in asked)


def test_only_the_video_that_changed_is_tracked_again_and_long_ones_come_first(
    prepared, small_videos, tmp_path, workspace
):
    copy, log = tmp_path / "copy", tmp_path / "log"
    shutil.copytree(small_videos, copy)
    truth = copy / "train" / "Synthetic_Train_000002" / "groundtruth.txt"
    truth.write_text("".join(truth.read_text().splitlines(keepends=True)[:20]))
    workspace(dataset={"kind": "got10k", "root": str(copy), "split": "train"})
    make_index(read_params()).write(places.INDEX)
    prepared("odd_teachers:Counting", log=str(log))
    assert [name[-1] for name in log.read_text().split()] == list("134562")
    log.unlink()
    truth = copy / "train" / "Synthetic_Train_000003" / "groundtruth.txt"
    truth.write_text("".join(truth.read_text().splitlines(keepends=True)[:40]))
    make_index(read_params()).write(places.INDEX)
    prepared("odd_teachers:Counting", log=str(log))
    assert log.read_text().split() == ["Synthetic_Train_000003"]


def test_a_higher_threshold_from_the_journal_equals_tracking_anew(prepared):
    prepared("odd_teachers:Still", stop_below=None)
    _, cut = prepared("odd_teachers:Still", stop_below=0.6)
    shutil.rmtree(places.JOURNAL)
    _, anew = prepared("odd_teachers:Still", stop_below=0.6)
    for column in ("status", "offset", "boxes", "overlap"):
        np.testing.assert_array_equal(getattr(cut, column), getattr(anew, column))


def test_other_options_are_tracked_anew_and_the_old_ones_remembered(prepared):
    _, still = prepared("odd_teachers:Still", stop_below=None)
    _, moved = prepared("odd_teachers:Still", stop_below=None, step=3.0)
    assert not np.array_equal(still.boxes, moved.boxes)
    with closing(sqlite3.connect(places.JOURNAL / "t.sqlite")) as connection:
        assert connection.execute("select count(*), count(distinct recipe) from outcome").fetchone() == (
            12,
            2,
        )


def test_failures_are_tried_again(prepared):
    _, first = prepared("odd_teachers:Raising", stop_below=None)
    with closing(sqlite3.connect(places.JOURNAL / "t.sqlite")) as connection, connection:
        connection.execute("update outcome set error = 'stale', traceback = 'stale' where status = 2")
    _, again = prepared("odd_teachers:Raising", stop_below=None)
    assert again.errors == first.errors


def test_failures_of_former_options_are_not_shown(prepared, capsys):
    prepared("odd_teachers:Raising", stop_below=None)
    prepared("odd_teachers:Still", stop_below=None)
    assert failures.Command("t", json=True).run() == 0
    assert json.loads(capsys.readouterr().out) == []


def test_a_journal_that_is_none_is_named(prepared):
    path = places.JOURNAL / "t.sqlite"
    path.parent.mkdir(parents=True)
    path.write_text("This is no database. " * 100)
    for use in (lambda: prepared("odd_teachers:Still"), failures.Command("t").run):
        with pytest.raises(DataError, match=f"{path}: this journal cannot be used .* remove it"):
            use()


def test_a_journal_on_a_full_disk_is_named(prepared, small_files):
    with pytest.raises(DataError, match=r"t\.sqlite: this journal cannot be used .* Make room"):
        prepared("odd_teachers:Still")


def test_a_killed_run_goes_on_where_it_was(prepared, workspace, tmp_path):
    log = tmp_path / "log"
    workspace(
        teachers={"t": {"use": "odd_teachers:Killing", "log": str(log), "n": 4}}, executor={"workers": 1}
    )
    command = [sys.executable, "-m", "pipeline.track", "t"]
    log.touch()
    killed = subprocess.run(command, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not places.trajectories("t").exists()
    assert len(log.read_text().splitlines()) == 4
    # The recipe holds the content of files among the options: put the log back as it was.
    started = log.read_text().splitlines()
    log.write_text("")
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert sorted(started[:3] + log.read_text().splitlines()) == Index.read().names


def test_kills_at_random_moments_leave_the_same_bytes(prepared, workspace):
    workspace(teachers={"t": {"use": "mosse"}}, executor={"workers": 2})
    command = [sys.executable, "-m", "pipeline.track", "t"]
    subprocess.run(command, check=True, capture_output=True)
    wanted = places.trajectories("t").read_bytes()
    places.trajectories("t").unlink()
    shutil.rmtree(places.JOURNAL)
    delays = random.Random(7)
    for _ in range(3):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(delays.uniform(0.5, 2.5))
        process.kill()
        process.wait()
    subprocess.run(command, check=True, capture_output=True)
    assert places.trajectories("t").read_bytes() == wanted
    leftovers = [path for path in places.TRAJECTORIES.iterdir() if path.name != "t.h5"]
    assert all(path.name.startswith(".t.h5.") for path in leftovers)


def test_two_runs_of_one_teacher_wait_for_each_other(tmp_path, capsys):
    taken, left = threading.Event(), threading.Event()

    def hold():
        with FileLock(tmp_path / "t.lock"):
            taken.set()
            time.sleep(0.5)
            left.set()

    other = threading.Thread(target=hold)
    other.start()
    taken.wait()
    with Journal.opened(tmp_path / "t.sqlite", "recipe"):
        assert left.is_set()
    other.join()
    assert "another process is tracking" in capsys.readouterr().err


@pytest.mark.parametrize("workers", [1, 2])
def test_a_video_that_changed_since_it_was_indexed_ends_the_stage(
    prepared, small_videos, tmp_path, workspace, workers
):
    """A failure of it would pass for the teacher's; what was tracked before is kept."""
    copy = tmp_path / "copy"
    shutil.copytree(small_videos, copy)
    workspace(dataset={"kind": "got10k", "root": str(copy), "split": "train"})
    make_index(read_params()).write(places.INDEX)
    with (copy / "train" / "Synthetic_Train_000002" / "00000003.jpg").open("ab") as image:
        image.write(b"\0")
    with pytest.raises(DataError, match=r"Synthetic_Train_000002.*changed since.*--force index"):
        prepared("odd_teachers:Still", workers=workers)
    assert not places.trajectories("t").exists()


def test_a_video_that_was_left_out_since_it_was_indexed_ends_the_stage(prepared, tmp_path, workspace):
    (tmp_path / "exclude.txt").write_text("Synthetic_Train_000002\n")
    dataset = {**yaml.safe_load((tmp_path / "params.yaml").read_text())["dataset"], "exclude": "exclude.txt"}
    workspace(dataset=dataset)
    with pytest.raises(
        DataError, match=r"Synthetic_Train_000002 was left out of its list, or excluded.*--force index"
    ):
        prepared("odd_teachers:Still")


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("use", "said"),
    [("Leaving", "SystemExit: no licence found"), ("Odd", "ValueError: a name like \\udcff.jpg")],
)
def test_whatever_a_tracker_raises_is_its_videos_failure_and_can_be_stored(prepared, use, said, workers):
    _, trajectories = prepared(f"odd_teachers:{use}", workers=workers)
    assert set(trajectories.status) == {Status.FAILED}
    assert said in trajectories.errors[0]
    _, error, traceback = failures.failed(places.JOURNAL / "t.sqlite")[0]
    assert said in error and "odd_teachers.py" in traceback


def test_a_tracker_that_goes_elsewhere_leaves_its_results_here(prepared, tmp_path):
    prepared("odd_teachers:Wanderer", log=str(tmp_path))
    assert places.trajectories("t").resolve().is_relative_to(tmp_path)
    assert places.trajectories("t").is_file()


def test_a_wrapped_tracker_that_is_another_version_is_tracked_anew(prepared, monkeypatch):
    _, before = prepared("odd_teachers:Wrapped")
    monkeypatch.setattr(Wrapped, "version", 2)
    monkeypatch.setattr(Wrapped, "step", 3.0)
    _, after = prepared("odd_teachers:Wrapped")
    assert not np.array_equal(before[0].boxes, after[0].boxes)


def test_a_tracker_that_cannot_be_built_is_named(prepared):
    with pytest.raises(
        TeacherConfigError,
        match=r"params\.yaml: teachers\.\w+: .*odd_teachers:Unready' cannot be built: KeyError: 'weights'",
    ):
        prepared("odd_teachers:Unready")


@pytest.mark.parametrize("use", ["odd_teachers:Still", "recorded"])
def test_a_dataset_that_is_gone_is_an_error_and_no_failure_of_all_videos(
    prepared, small_videos, tmp_path, workspace, use
):
    copy = tmp_path / "copy"
    shutil.copytree(small_videos, copy)
    workspace(dataset={"kind": "got10k", "root": str(copy), "split": "train"})
    make_index(read_params()).write(places.INDEX)
    copy.rename(tmp_path / "away")
    write_results(tmp_path / "results", "Still", "v", [[1, 1, 2, 2]])
    options = {"results": str(tmp_path / "results"), "tracker": "Still"} if use == "recorded" else {}
    with pytest.raises(DataError, match=f"{copy}: there is no such folder"):
        prepared(use, **options)
    assert not places.trajectories("t").exists()


def test_a_truncated_image_fails_its_video_and_is_named(prepared, small_videos, tmp_path, workspace):
    copy = tmp_path / "copy"
    shutil.copytree(small_videos, copy)
    image = copy / "train" / "Synthetic_Train_000004" / "00000002.jpg"
    image.write_bytes(image.read_bytes()[:-300])
    workspace(dataset={"kind": "got10k", "root": str(copy), "split": "train"})
    make_index(read_params()).write(places.INDEX)
    _, trajectories = prepared("odd_teachers:Still")
    assert np.flatnonzero(trajectories.status == Status.FAILED).tolist() == [3]
    assert str(image) in trajectories.errors[3]
    assert "truncated" in trajectories.errors[3]


def test_a_video_without_a_target_in_frame_0_fails(small_videos):
    video = open_dataset(f"got10k:{small_videos}:train")["Synthetic_Train_000001"]
    absent = video.absent.copy()
    absent[0] = True
    with pytest.raises(TeacherError, match="no target in frame 0"):
        follow(Still(), Video(video.name, video.frames, video.ground_truth, absent))


class Listed:
    """Gives these boxes, whatever there is to see."""

    version, needs_images = 1, False

    def __init__(self, boxes):
        self.boxes = iter(np.float32(boxes))

    def start(self, image, box, task):
        return next(self.boxes)

    def track(self, image):
        return next(self.boxes)


@pytest.mark.parametrize(
    ("widths", "absent", "overlaps"),
    [
        ([8, 8, 8], [], [1, 1, 1]),
        ([8, 5, 4, 8], [], [1, 0.625, 0.5]),  # the threshold itself is not above it
        ([2, 8, 8], [], [0.25, 1, 1]),  # frame 0 stops nobody
        ([8, 2, 4, 8], [1], [1, 0, 0.5]),  # nor does one without target, where an annotation has a box
        ([8, 8, 2], [], [1, 1, 0.25]),
    ],
)
def test_where_a_teacher_is_stopped(widths, absent, overlaps):
    boxes = [[1, 2, width, 8] for width in widths]
    truth = np.tile(np.float32([1, 2, 8, 8]), (len(widths), 1))
    video = Video("v", (), truth, np.isin(np.arange(len(widths)), absent))
    run = follow(Listed(boxes), video, 0.5)
    assert run.overlap.tolist() == overlaps
    assert run.boxes[:, 2].tolist() == widths[: len(overlaps)]
    assert run.status == (Status.ABANDONED if overlaps[-1] <= 0.5 else Status.COMPLETED)
    # The same of a run that nothing stopped.
    cut = follow(Listed(boxes), video).until(0.5, video.absent)
    assert (cut.overlap.tolist(), cut.status) == (overlaps, run.status)


def test_a_few_images_are_read_before_they_are_asked_for():
    asked = []
    with ThreadPoolExecutor(1) as decoder:
        images = decoded_ahead(range(9), decoder, 3, lambda t: asked.append(t) or t)
        assert next(images) == 0
        decoder.submit(int).result()
        assert asked == [0, 1, 2, 3]
        assert [*images] == asked[1:] == [*range(1, 9)]


def test_libraries_use_one_thread_unless_a_teacher_says_otherwise(one_thread):
    before = cv2.getNumThreads()
    try:
        for options, threads in (({}, 1), ({"threads": 2}, 2)):
            cv2.setNumThreads(2)
            torch.set_num_threads(2)
            assert isinstance(built(lambda use, options: Still(), "still", options), Still)
            assert (cv2.getNumThreads(), torch.get_num_threads()) == (1, threads)
    finally:
        cv2.setNumThreads(before)


def test_what_a_recipe_is_of(tmp_path):
    def of(use, version=1, **options):
        return recipe(TeacherParams(use=use, **options), version)

    results = tmp_path / "results"
    write_results(results, "A", "v", [[1, 1, 2, 2]])
    recorded = {"results": str(results), "tracker": "A"}
    first = of("recorded", **recorded)
    assert of("recorded", **recorded) == first
    write_results(results, "A", "v", [[1, 1, 3, 2]])
    assert len({first, of("recorded", **recorded), of("kcf"), of("mosse"), of("kcf", 2)}) == 5
    assert of("odd_teachers:Still", step=1.0) != of("odd_teachers:Still", step=2.0)
    assert of("siamrpn", device="cuda:0") == of("siamrpn", device="cuda:1") == of("siamrpn", device="cuda")
    assert of("siamrpn", device="cpu") != of("siamrpn", device="cuda")


def test_errors_are_one_line_and_those_that_say_the_same_are_counted(prepared, capsys):
    prepared("odd_teachers:Wordy")
    assert Command("t").run() == 0
    told = capsys.readouterr()
    assert "0 completed, 0 abandoned, 6 failed" in told.out
    said = "failed 6 x: ValueError: nothing to see in Synthetic_Train_000001 at all"
    assert told.err.strip().startswith(f"{said}\n")


def test_recorded_results_are_read_anew(prepared, tmp_path):
    options = {"results": str(tmp_path / "results"), "tracker": "A"}
    names = Index.read().names
    truth = Index.read().ground_truth.reshape(len(names), -1, 4)
    for step in (0, 1):
        for name, boxes in zip(names, truth, strict=True):
            write_results(tmp_path / "results", "A", name, boxes + step)
        _, trajectories = prepared("recorded", stop_below=None, **options)
        np.testing.assert_allclose(trajectories.boxes, truth.reshape(-1, 4) + step, atol=1e-3)


def test_results_have_the_base_of_the_datasets_files_as_in_statistics_of_them(
    prepared, tmp_path, small_videos
):
    results, index = tmp_path / "results", Index.read()
    (results / "A").mkdir(parents=True)  # flat files, which are 1-based by their form alone
    for name, boxes in zip(index.names, index.ground_truth.reshape(len(index), -1, 4), strict=True):
        np.savetxt(results / "A" / f"{name}.txt", boxes, "%.4f", ",")
    options = {"results": str(results), "tracker": "A"}
    _, told = read_results(f"got10k:{small_videos}:train", results)
    for own, base in (({}, 0), ({"base": 1}, 1), ({"kind": "otb"}, 1)):
        _, trajectories = prepared("recorded", stop_below=None, **options, **own)
        shift = np.array([base, base, 0, 0], np.float32)
        np.testing.assert_allclose(trajectories.boxes, told["A"].boxes - shift, atol=1e-3)
    np.testing.assert_allclose(told["A"].boxes, index.ground_truth, atol=1e-3)


def test_a_recorded_row_that_is_no_box_is_named_with_its_file(prepared, tmp_path, small_videos):
    results, index = tmp_path / "results", Index.read()
    for name, boxes in zip(index.names, index.ground_truth.reshape(len(index), -1, 4), strict=True):
        write_results(results, "A", name, boxes)
    file = results / "A" / index.names[1] / f"{index.names[1]}_001.txt"
    lines = file.read_text().splitlines()
    file.write_text("\n".join([*lines[:6], "7,8,0,9", *lines[7:]]))
    said = f"{file}: row 7 (frame 6): (x, y, w, h) = (7, 8, 0, 9) is no box. Run the tracker again"
    _, tracked = prepared("recorded", stop_below=None, results=str(results), tracker="A")
    _, read = read_results(f"got10k:{small_videos}:train", results)
    for errors in (tracked.errors, read["A"].errors):
        assert said in errors[1] and not any(errors[2:] + errors[:1])


def test_a_worker_whose_teacher_is_not_the_one_the_run_began_with(small_videos):
    dataset = open_dataset(f"got10k:{small_videos}:train")
    video = dataset[dataset.names[0]]
    job = Job(dataset.spec, None, video.name, video.digest(), "odd_teachers:Still", "{}", None, version=1)
    assert run_job(job).trajectory.status == Status.COMPLETED
    with pytest.raises(WorkerError, match=r"not what it was when the run began \(version 2, here 1\)"):
        run_job(replace(job, version=2))
    with pytest.raises(WorkerError, match=r"Unready cannot be built by a worker on .*KeyError: 'weights'"):
        run_job(replace(job, use="odd_teachers:Unready"))


def test_a_worker_that_kept_an_older_teacher_builds_it_anew(small_videos, tmp_path, monkeypatch):
    dataset = open_dataset(f"got10k:{small_videos}:train")
    video = dataset[dataset.names[0]]
    use, options = "odd_teachers:Kept", json.dumps({"weights": str(tmp_path / "w")})
    job = Job(dataset.spec, None, video.name, video.digest(), use, options, None)
    for version in (1, 2):
        (tmp_path / "w").write_text(str(version))
        assert run_job(replace(job, version=version)).trajectory.status == Status.COMPLETED
