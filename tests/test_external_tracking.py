"""Trackers of a user's own checkouts, in real processes over small made-up ones, alone and in the pipeline."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import fake_checkouts
import numpy as np
import pytest
import torch
from conftest import REPOSITORY
from external_samples import BOX, image, track

from datasets import open_dataset
from datasets.errors import DataError
from pipeline.follow import follow
from pipeline.index import make_index
from pipeline.params import read_params
from pipeline.track import track as track_stage
from pipeline.trajectories import Status
from teachers import listing, registry
from teachers.external import teacher as external_teacher
from teachers.external.checkout import fingerprint
from teachers.seeds import seed_of

torch.set_num_threads(1)


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


def test_they_are_listed_with_their_options():
    described = {d.name: d for d in listing.describe(["pytracking:kys/default", "pysot:x"], options=True)}
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
    third = version("torch 2")
    assert third != second
    (root / "pysot/settings.yaml").write_text("a: 1")
    assert version("torch 2") != third


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
