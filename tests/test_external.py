"""Trackers of a user's own checkouts: real processes over small made-up checkouts, and over real ones if given.

PYTRACKING and PYSOT may name checkouts, EXTERNAL_PYTHON the interpreter of an environment in which they work.
"""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
import traceback
from dataclasses import replace
from pathlib import Path

import fake_checkouts
import numpy as np
import pytest
import torch
from conftest import REPOSITORY

from datasets import open_dataset
from datasets.boxes import overlap
from datasets.errors import DataError
from pipeline.follow import follow
from pipeline.index import make_index
from pipeline.params import read_params
from pipeline.track import track as track_stage
from pipeline.trajectories import Status
from teachers import registry
from teachers.base import Task, TeacherError
from teachers.external import teacher as external_teacher
from teachers.external.checkout import fingerprint
from teachers.options import TeacherConfigError
from teachers.seeds import seed_of

torch.set_num_threads(1)

BOX = np.array([30, 20, 25, 35], np.float32)


def image(seed=0, height=90, width=120):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def listing(folder):
    return {path: path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


@pytest.fixture(scope="module")
def pytracking_root(tmp_path_factory):
    return fake_checkouts.write(fake_checkouts.PYTRACKING, tmp_path_factory.mktemp("pytracking"))


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    root = tmp_path_factory.mktemp("networks")
    fake_checkouts.save_network(root / "nets" / "small.pth")
    return root


@pytest.fixture(scope="module")
def fake(pytracking_root, networks):
    options = {"checkout": str(pytracking_root), "weights": str(networks)}
    return registry.create("pytracking:fake/default", options)


@pytest.fixture(scope="module")
def pysot_root(tmp_path_factory):
    return fake_checkouts.write(fake_checkouts.PYSOT, tmp_path_factory.mktemp("pysot"))


@pytest.fixture(scope="module")
def pysot_weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "small.pth"
    state = {"head.weight": torch.tensor([[1.0, 2.0]]), "head.bias": torch.zeros(1)}
    state |= {f"norm.{k}": torch.ones(1) for k in ("weight", "bias", "running_mean", "running_var")}
    torch.save({"state_dict": {f"module.{k}": v for k, v in state.items()}}, path)
    return path


def track(teacher, name="video", seeds=(1, 2, 3), box=BOX, **size):
    images = [image(seed, **size) for seed in seeds]
    first = teacher.start(images[0], box, Task(name, len(images)))
    return np.array([first, *(teacher.track(i) for i in images[1:])])


# What it tracks


def test_pytracking_gets_what_it_gets_by_hand(fake, pytracking_root):
    boxes = track(fake)
    assert boxes.dtype == np.float32
    assert boxes[0].tolist() == BOX.tolist()
    torch.manual_seed(seed_of("video", 0))
    jitter = torch.rand(1).item()
    for t, seed in ((1, 2), (2, 3)):
        np.random.seed(seed_of("video", t))  # noqa: NPY002 - what the tracker draws from
        torch.manual_seed(seed_of("video", t))
        torch.rand(3, 4)
        draws = [jitter + np.random.rand(), torch.rand(1).item()]  # noqa: NPY002
        red = cell_means(image(seed)[:, :, 2].astype(float), 2, 3, 8, 7)
        expected = np.add(BOX, [0.5 + draws[0], draws[1], red, 1])
        assert boxes[t] == pytest.approx(expected, abs=2e-5)


def cell_means(plane, left, top, right, bottom):
    """The mean of a bilinear surface over whole pixels' squares: of their corners."""
    y, x = np.mgrid[top:bottom, left:right]
    return np.mean([plane[y, x], plane[y + 1, x], plane[y, x + 1], plane[y + 1, x + 1]])


def test_a_video_depends_on_nothing_but_itself(fake, pytracking_root, networks):
    before = track(fake)
    track(fake, "another", seeds=(4, 5), height=300, width=400)
    np.testing.assert_array_equal(track(fake), before)
    options = {"checkout": str(pytracking_root), "weights": str(networks / "nets" / "small.pth")}
    other = registry.create("pytracking:fake/default", options)
    np.testing.assert_array_equal(track(other), before)
    assert other.version == fake.version
    assert not np.array_equal(track(fake, "named otherwise"), before)


def test_nothing_is_written_into_a_checkout(pytracking_root, pysot_root, fake, pysot):
    track(fake)
    track(pysot)
    for root, files in ((pytracking_root, fake_checkouts.PYTRACKING), (pysot_root, fake_checkouts.PYSOT)):
        assert {str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()} == set(files)
        assert not list(root.rglob("__pycache__"))


@pytest.fixture(scope="module")
def pysot(pysot_root, pysot_weights):
    return registry.create("pysot:small", {"checkout": str(pysot_root), "weights": str(pysot_weights)})


def test_pysot_gets_what_it_gets_by_hand(pysot):
    boxes = track(pysot)
    blue = [image(seed)[..., 0].mean() for seed in (2, 3)]
    expected = [BOX, *(np.add(BOX, [0.5, 0.5, b, 10]) for b in blue)]
    np.testing.assert_allclose(boxes, expected, rtol=1e-6)


def test_pysot_may_begin_where_its_init_does(pysot_root, pysot_weights):
    options = {"checkout": str(pysot_root), "weights": str(pysot_weights), "start": "pysot-init"}
    teacher = registry.create("pysot:other_one", options)
    assert track(teacher)[1][[0, 1, 3]] == pytest.approx([30, 20, 35 + 15])


def test_a_worker_that_nobody_uses_leaves_and_comes_back(pysot_root, pysot_weights, monkeypatch):
    monkeypatch.setattr(external_teacher, "IDLE", 0.05)
    teacher = registry.create("pysot:small", {"checkout": str(pysot_root), "weights": str(pysot_weights)})
    worker = teacher._worker
    assert worker._process.wait(timeout=30) == 0
    monkeypatch.undo()
    # Between `alive` and the question there is a moment in which it may leave: ask the one that has left.
    monkeypatch.setattr(type(worker), "alive", True)
    assert track(teacher).shape == (3, 4)


def test_another_interpreter(pysot_root, pysot_weights, tmp_path):
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\necho "$PYTHONPATH" > {tmp_path}/seen\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    options = {"checkout": str(pysot_root), "weights": str(pysot_weights), "python": str(python)}
    assert track(registry.create("pysot:small", options)).shape == (3, 4)
    assert (tmp_path / "seen").read_text() == "\n"


# What goes wrong in a video

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


def running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A process that has ended stays as a zombie until somebody asks for it.
    state = Path(f"/proc/{pid}/stat")
    return not (state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z")


def test_a_teacher_that_is_dropped_ends_its_worker(pysot_root, pysot_weights):
    teacher = registry.create("pysot:small", {"checkout": str(pysot_root), "weights": str(pysot_weights)})
    process = teacher._worker._process
    del teacher
    assert process.returncode == -signal.SIGKILL


# What cannot be set up


@pytest.mark.parametrize(
    ("use", "change", "error", "said"),
    [
        (
            "pytracking:fake/default",
            {"checkout": "{tmp}/no"},
            TeacherConfigError,
            "{tmp}/no|does not point|git clone https",
        ),
        (
            "pytracking:fake/default",
            {"checkout": "{tmp}"},
            DataError,
            "{tmp}: this is no checkout of pytracking: it has",
        ),
        (
            "pytracking:fake/default",
            {"checkout": "{root}/ltr"},
            DataError,
            "no checkout of pytracking|Give {root}",
        ),
        (
            "pytracking:fake/default",
            {"weights": "{tmp}/no.pth"},
            DataError,
            "{tmp}/no.pth: there are no such weights",
        ),
        ("pytracking:none/default", {}, DataError, "there is no tracker 'none'|Choose one of fake"),
        (
            "pytracking:fake/none",
            {},
            DataError,
            "there is no parameter file of fake 'none'|Choose one of default",
        ),
        ("pytracking:fake", {}, TeacherConfigError, "write pytracking:TRACKER/PARAMETERS, such as"),
        ("pytracking:../fake/default", {}, TeacherConfigError, "write pytracking:TRACKER/PARAMETERS"),
        ("pysot:../small", {}, TeacherConfigError, "write pysot:EXPERIMENT"),
        ("pysot:small", {}, DataError, "this is no checkout of pysot: it has no pysot/core/config.py"),
        (
            "pytracking:fake/default",
            {"device": "cuda:77"},
            DataError,
            "device = 'cuda:77' cannot be used here",
        ),
        ("pytracking:fake/default", {"threads": 0}, TeacherConfigError, "threads = 0"),
        (
            "pytracking:fake/default",
            {"python": "{tmp}/no"},
            TeacherConfigError,
            "python = '{tmp}/no': path does not",
        ),
        ("pytracking:fake/default", {"python": "{tmp}/text"}, DataError, "{tmp}/text: cannot be started"),
        ("pytracking:fake/default", {"python": "{tmp}/false"}, DataError, "ended with exit code 1|not today"),
        (
            "pytracking:fake/default",
            {"weights": "{tmp}"},
            DataError,
            "there is no nets/small.pth in this folder",
        ),
    ],
)
def test_a_wrong_name_or_option(use, change, error, said, pytracking_root, networks, tmp_path):
    (tmp_path / "text").write_text("no program")
    (tmp_path / "false").write_text("#!/bin/sh\necho not today >&2\nexit 1\n")
    (tmp_path / "false").chmod(0o755)
    options = {"checkout": str(pytracking_root), "weights": str(networks)}
    if use.startswith("pysot"):
        options["weights"] = str(networks / "nets" / "small.pth")
    values = {
        k: v.format(tmp=tmp_path, root=pytracking_root) if isinstance(v, str) else v
        for k, v in change.items()
    }
    with pytest.raises(error) as caught:
        registry.create(use, options | values)
    parts = said.format(tmp=tmp_path, root=pytracking_root).split("|")
    assert all(part in str(caught.value) for part in parts), caught.value


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        (
            "pytracking/__init__.py",
            "1 / 0\n",
            "ZeroDivisionError: division by zero (pytracking/__init__.py, line 1)",
        ),
        ("pytracking/__init__.py", "import no_such_package\n", "-m pip install"),
        ("pytracking/__init__.py", "import pytracking.old\n", "made for pytracking at commit 7eb9e74"),
        ("pytracking/tracker/fake/__init__.py", "Fake = None\n", "has no attribute 'get_tracker_class'"),
        (
            "pytracking/tracker/fake/tracker.py",
            "import os\nos._exit(7)\n",
            "ended with exit code 7 while it was",
        ),
    ],
)
def test_a_checkout_that_cannot_be_imported(file, text, said, networks, tmp_path):
    root = fake_checkouts.write(fake_checkouts.PYTRACKING | {file: text}, tmp_path / "checkout")
    before = listing(root)
    with pytest.raises(DataError) as caught:
        registry.create("pytracking:fake/default", {"checkout": str(root), "weights": str(networks)})
    assert caught.value.path == root
    assert said in str(caught.value)
    if "ended" not in said:
        assert "Traceback" in caught.value.__notes__[0]
    assert listing(root) == before


def truncated(path):
    path.write_bytes(path.read_bytes()[:-300])


@pytest.mark.parametrize(
    ("save", "said"),
    [
        (
            lambda path: truncated(fake_checkouts.save_network(path)),
            "cannot be read: it is truncated, damaged",
        ),
        (lambda path: path.write_bytes(b""), "cannot be read"),
        (lambda path: torch.save({"net": os.system}, path), "holds pickled code (posix.system)"),
        (
            lambda path: fake_checkouts.save_network(path, "os"),
            "its network would be built by os, no model of ltr",
        ),
        (lambda path: fake_checkouts.save_network(path, other=torch.ones(2)), "Missing key(s) in state_dict"),
    ],
)
def test_weights_that_are_none(save, said, pytracking_root, tmp_path):
    path = tmp_path / "net.pth"
    save(path)
    with pytest.raises(DataError) as caught:
        registry.create("pytracking:fake/default", {"checkout": str(pytracking_root), "weights": str(path)})
    assert said in str(caught.value)
    assert caught.value.path == path


def test_weights_that_are_trusted(pysot_root, pysot_weights, tmp_path):
    path = tmp_path / "net.pth"
    torch.save({**torch.load(pysot_weights), "extra": os.system}, path)
    options = {"checkout": str(pysot_root), "weights": str(path)}
    with pytest.raises(DataError, match="trust_weights: true"):
        registry.create("pysot:small", options)
    assert track(registry.create("pysot:small", {**options, "trust_weights": True})).shape == (3, 4)


@pytest.mark.parametrize("change", ["missing", "shape", "tensor"])
def test_pysots_weights_that_do_not_fit(change, pysot_root, pysot_weights, tmp_path):
    state = dict(torch.load(pysot_weights)["state_dict"])
    said = {
        "missing": "1 tensors are missing: head.bias",
        "shape": "size mismatch",
        "tensor": "it holds a Tensor",
    }
    if change == "missing":
        del state["module.head.bias"]
    else:
        state["module.head.bias"] = torch.zeros(2)
    path = tmp_path / "net.pth"
    torch.save(torch.zeros(3) if change == "tensor" else state, path)
    with pytest.raises(DataError) as caught:
        registry.create("pysot:small", {"checkout": str(pysot_root), "weights": str(path)})
    assert said[change] in str(caught.value)
    assert caught.value.path == path


# Names, versions, command lines


def test_they_are_listed_with_their_options():
    described = {d.name: d for d in registry.describe(["pytracking:kys/default", "pysot:x"], options=True)}
    assert set(described["pysot:x"].needs) == {"checkout", "weights"}
    assert "device: str = 'cpu'" in described["pytracking:kys/default"].options
    assert {"pytracking:eco/default", "pysot:siamrpn_alex_dwxcorr"} <= set(registry.names())


def test_the_version_is_that_of_the_code_and_the_files(tmp_path):
    root = fake_checkouts.write(fake_checkouts.PYSOT, tmp_path / "checkout")
    weights = tmp_path / "w"
    weights.write_bytes(b"1")

    def version(*versions):
        return fingerprint(root, ["pysot"], [weights], versions)

    first = version("torch 2")
    assert 0 <= first < 2**48
    (root / "pysot/__pycache__").mkdir()
    (root / "pysot/__pycache__/old.py").write_text("pass")
    (root / "README.md").write_text("changed")
    assert version("torch 2") == first
    assert version("torch 3") != first
    weights.write_bytes(b"2")
    second = version("torch 2")
    assert second != first
    (root / "pysot/core/config.py").write_text("pass")
    assert version("torch 2") != second


def test_try_from_the_command_line(small_videos, pysot_root, pysot_weights, tmp_path):
    video = sorted((small_videos / "train").iterdir())[0]
    if not video.is_dir():
        video = next(p for p in sorted((small_videos / "train").iterdir()) if p.is_dir())
    command = [sys.executable, "-m", "teachers", "try", "pysot:small", "--video", str(video)]
    command += ["--out", str(tmp_path / "out.mp4"), "--json"]
    options = [f"checkout={pysot_root}", f"weights={pysot_weights}"]
    done = subprocess.run([*command, "--options", *options], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert '"teacher": "pysot:small"' in done.stdout
    done = subprocess.run(
        [*command, "--options", options[0], "weights=/no"], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "weights = '/no'" in done.stderr


# In the pipeline


def test_a_lost_target_abandons_its_video(fake, small_videos):
    video = next(iter(open_dataset(f"got10k:{small_videos}:train")))
    boxes = np.tile(np.float32([30, 20, 103, 35]), (len(video), 1))
    wide = replace(video, ground_truth=boxes, absent=np.zeros(len(video), bool))
    trajectory = follow(fake, wide, stop_below=0.5)
    assert trajectory.status == Status.ABANDONED
    assert trajectory.overlap.tolist() == [1, 0]


def test_params_yaml_names_one(workspace, small_videos, pysot_root, pysot_weights):
    dataset = {"kind": "got10k", "root": str(small_videos), "split": "train"}
    options = {"use": "pysot:small", "checkout": str(pysot_root), "weights": str(pysot_weights)}
    path = workspace(
        dataset=dataset, teachers={"SiamRPN": options}, track={"stop_below": 0.5}, executor={"workers": 2}
    )
    index = make_index(read_params(path))
    trajectories = track_stage("SiamRPN", read_params(path), index)
    assert set(trajectories.status) <= {Status.ABANDONED, Status.COMPLETED}
    for v in range(len(index)):
        first = index.ground_truth[index.rows(v)][0]
        np.testing.assert_allclose(
            trajectories[v].boxes[1, [0, 1, 3]], first[[0, 1, 3]] + [0.5, 0.5, 10], rtol=1e-5
        )
    path = workspace(teachers={"pysot:small": options})
    with pytest.raises(DataError, match=r"'pysot:small' names files: .* and the option use for the tracker"):
        read_params(path)
    (Path.cwd() / "broken.pth").write_bytes(pysot_weights.read_bytes()[:200])
    path = workspace(teachers={"SiamRPN": {**options, "weights": "broken.pth"}})
    with pytest.raises(DataError, match=r"broken\.pth: the checkpoint cannot be read"):
        track_stage("SiamRPN", read_params(path), index)


# Real checkouts


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
