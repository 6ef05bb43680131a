"""What goes wrong in a video of a checkout's tracker: faults, hangs, interruptions, processes that stay behind."""

import os
import signal
import subprocess
import sys
import textwrap
import time
import traceback
from pathlib import Path

import fake_checkouts
import numpy as np
import pytest
import torch
from conftest import REPOSITORY
from external_samples import BOX, image, track

from datasets.boxes import overlap
from datasets.errors import DataError
from teachers import registry
from teachers.base import Task, TeacherError

torch.set_num_threads(1)

FAULTS = {
    100: "IndexError: list index out of range (pytracking/tracker/fake/tracker.py, line 31)",
    101: "(x, y, w, h) = (nan, nan, nan, nan), which is not finite with a positive size",
    102: "the tracker returned None, not four numbers (x, y, w, h)",
    104: "died of SIGSEGV",
    107: "SystemExit: good bye",
    108: "KeyError: 'target_bbox'",
    109: "ended with exit code 3",
    111: "(x, y, w, h) = (1.0, 2.0, 3.0, -4.0)",
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_fails_its_video_and_not_the_next(kind, fake, pytracking_root):
    with pytest.raises(TeacherError) as caught:
        track(fake, "Woman_01", box=np.array([30, 20, kind, 35], np.float32))
    said = str(caught.value)
    assert said.startswith(f"video Woman_01, frame 1: pytracking:fake/default of {pytracking_root}: ")
    assert FAULTS[kind] in said
    assert "own scripts" in said
    account = "".join(traceback.format_exception(caught.value))
    if kind in (100, 107, 108):
        assert "in track" in account
        assert "a line on stdout" in account
    if kind == 104:
        assert "Fatal Python error: Segmentation fault" in account
    if kind == 109:
        assert "the last words" in account
    assert track(fake).shape == (3, 4)


def test_a_target_that_the_tracker_refuses(fake):
    with pytest.raises(TeacherError, match=r"video V, frame 0: .*ValueError: the target has no texture"):
        track(fake, "V", box=np.array([30, 20, 110, 35], np.float32))


def test_a_box_outside_the_image_is_a_lost_target(fake):
    found = track(fake, box=np.array([30, 20, 103, 35], np.float32))[1]
    assert found.tolist() == [-5000, 1e6, 30, 40]
    assert overlap(found, BOX) == 0


def test_a_tracker_that_prints_very_much(fake):
    boxes = track(fake, box=np.array([30, 20, 106, 35], np.float32))
    assert np.isfinite(boxes).all()


def test_a_hang_ends(fake):
    track(fake)
    fake._worker._patience = 2.0
    process = fake._worker._process
    with pytest.raises(TeacherError, match=r"frame 1: .*did not answer within 2 s \(option patience\)"):
        track(fake, box=np.array([30, 20, 105, 35], np.float32))
    assert process.returncode == -signal.SIGKILL
    assert track(fake).shape == (3, 4)


def test_after_an_interruption_no_late_answer_is_taken_for_the_next_one(fake):
    expected = track(fake)
    fake._worker._patience = 5.0
    process = fake._worker._process

    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            signal.setitimer(signal.ITIMER_REAL, 0.5)
            track(fake, box=np.array([30, 20, 105, 35], np.float32))
    finally:
        signal.signal(signal.SIGALRM, before)
    assert process.returncode == -signal.SIGKILL
    np.testing.assert_array_equal(track(fake), expected)


def test_patience_may_be_without_end(pysot_root, pysot_weights):
    options = {"checkout": str(pysot_root), "weights": str(pysot_weights), "patience": float("inf")}
    assert track(registry.create("pysot:small", options)).shape == (3, 4)


def test_images_are_needed(fake):
    with pytest.raises(TeacherError, match="needs the images"):
        fake.start(None, BOX, Task("V", 2))


def running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A process that has ended stays as a zombie until somebody asks for it.
    state = Path(f"/proc/{pid}/stat")
    return not (state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z")


def gone(pid):
    end = time.monotonic() + 20
    while running(pid) and time.monotonic() < end:
        time.sleep(0.02)
    return not running(pid)


@pytest.mark.parametrize("kind", [112, 113], ids=["started", "forked, with the worker's pipes"])
@pytest.mark.parametrize(("height", "said"), [(35, "exit code 3"), (36, "did not answer within 1 s")])
def test_what_a_tracker_starts_ends_with_its_worker(kind, height, said, fake, tmp_path, monkeypatch):
    monkeypatch.setenv("CHILD", str(tmp_path / "child"))
    fake._worker.close()  # the next one has that variable
    fake.start(image(), np.array([30, 20, kind, height], np.float32), Task("V", 2))
    monkeypatch.setattr(fake._worker, "_patience", 1.0 if height == 36 else 10.0)
    with pytest.raises(TeacherError, match=said):
        fake.track(image())
    assert gone(int((tmp_path / "child").read_text()))


def test_a_checkout_that_changes_during_a_run(pysot_weights, tmp_path):
    root = fake_checkouts.write(fake_checkouts.PYSOT, tmp_path / "checkout")
    teacher = registry.create("pysot:small", {"checkout": str(root), "weights": str(pysot_weights)})
    expected = track(teacher)
    config = root / "pysot/core/config.py"
    config.write_text(config.read_text() + "\nhalf = 2\n")
    np.testing.assert_array_equal(track(teacher), expected)  # what is running is what it was
    teacher._worker.close()
    for _ in range(2):
        with pytest.raises(DataError, match=r"code or the weights changed since pysot:small was set up"):
            track(teacher)
    config.write_text(fake_checkouts.PYSOT["pysot/core/config.py"])
    np.testing.assert_array_equal(track(teacher), expected)


def test_a_worker_dies_with_its_parent_even_while_it_hangs(pytracking_root, networks, tmp_path):
    program = f"""
        import os, signal, threading
        import numpy as np
        from teachers import registry
        from teachers.base import Task
        options = {{"checkout": {str(pytracking_root)!r}, "weights": {str(networks)!r}}}
        teacher = registry.create("pytracking:fake/default", options)
        teacher.start(np.zeros((9, 9, 3), np.uint8), np.float32([1, 1, 112, 5]), Task("V", 2))
        print(teacher._worker._process.pid, flush=True)
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGKILL)).start()
        teacher.track(np.zeros((9, 9, 3), np.uint8))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=REPOSITORY,
        env={**os.environ, "CHILD": str(tmp_path / "child")},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert done.returncode == -signal.SIGKILL
    assert gone(int(done.stdout))
    assert gone(int((tmp_path / "child").read_text()))


def test_a_teacher_that_is_dropped_ends_its_worker(pysot_root, pysot_weights):
    teacher = registry.create("pysot:small", {"checkout": str(pysot_root), "weights": str(pysot_weights)})
    process = teacher._worker._process
    del teacher
    assert process.returncode == -signal.SIGKILL
