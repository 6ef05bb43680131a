"""`python -m trainer.track`: the video that it draws, and mistakes on its command line."""

import json
import re
import shutil

import cv2
import numpy as np
import pytest
from conftest import REPOSITORY

from datasets.command_line import run_only_command
from datasets.images import read_image
from datasets.mp4 import write_mp4
from datasets.spec import open_dataset
from teachers.base import Task
from trainer.track import Track
from trainer.trackers import Tras

pytestmark = pytest.mark.usefixtures("one_thread")


def track(*arguments):
    return run_only_command(Track, "python -m trainer.track", [str(a) for a in arguments])


def test_the_command_draws_a_video(small_videos, weights, tmp_path, capsys):
    dataset = open_dataset(f"got10k:{small_videos}")
    shown = dataset[dataset.names[0]]
    folder = shown.frames[0].parent
    out = tmp_path / "out.mp4"
    for kind, teachers in (("tras", []), ("trast", ["mosse"]), ("trasfust", ["mosse", "medianflow"])):
        given = ["--teachers", *teachers] if teachers else []
        arguments = ["--tracker", kind, "--weights", weights, "--video", folder, "--out", out, *given]
        assert track(*arguments, "--json") == 0
        figures = json.loads(capsys.readouterr().out)
        assert figures["frames"] == len(shown) and 0 <= figures["ao"] <= 1 and figures["fps"] > 0
        assert sum(figures["chosen"].values()) == len(shown) - 1
        assert set(figures["chosen"]) <= {"student", *teachers}
        read = cv2.VideoCapture(str(out))
        assert read.get(cv2.CAP_PROP_FRAME_COUNT) == len(shown)
        drawn = read.read()[1]
        assert drawn.shape[1] >= 480
        plain = cv2.resize(read_image(shown.frames[0]), drawn.shape[1::-1])
        assert np.abs(drawn.astype(int) - plain).max() > 100  # boxes and text are on it


def test_the_first_box_is_enough_for_a_look(small_videos, weights, tmp_path, capsys):
    folder = shutil.copytree(next((small_videos / "train").glob("Synthetic*")), tmp_path / "own")
    truth = folder / "groundtruth.txt"
    frames = len(truth.read_text().splitlines())
    truth.write_text(truth.read_text().splitlines()[0] + "\n")
    (folder / "absence.label").unlink()
    arguments = ["--tracker", "tras", "--weights", weights, "--video", folder, "--out", tmp_path / "o.mp4"]
    assert track(*arguments, "--json") == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["frames"], figures["ao"]) == (frames, None)


def test_a_film_or_bare_images_and_a_box_are_enough(small_videos, weights, tmp_path, capsys):
    dataset = open_dataset(f"got10k:{small_videos}")
    shown = dataset[dataset.names[0]]
    images = [read_image(path) for path in shown.frames]
    write_mp4(tmp_path / "film.mp4", 25, images)
    (tmp_path / "bare").mkdir()
    for t, image in enumerate(images):
        cv2.imwrite(str(tmp_path / "bare" / f"{t:04d}.png"), image)
    box = [f"{v:g}" for v in shown.ground_truth[0]]
    for video in ("film.mp4", "bare"):
        arguments = ["--tracker", "tras", "--weights", weights, "--video", tmp_path / video, "--box", *box]
        arguments += ["--out", tmp_path / "out.mp4", "--boxes", tmp_path / "boxes.txt", "--json"]
        assert track(*arguments) == 0, capsys.readouterr().err
        figures = json.loads(capsys.readouterr().out)
        assert (figures["frames"], figures["ao"]) == (len(shown), None)
        boxes = np.loadtxt(tmp_path / "boxes.txt", delimiter=",")
        assert boxes.shape == (len(shown), 4)
        np.testing.assert_allclose(boxes[0], shown.ground_truth[0], atol=1e-3)
    tracker = Tras(weights)
    expected = [tracker.start(images[0], shown.ground_truth[0], Task("bare", len(images)))]
    expected += [tracker.track(image) for image in images[1:]]
    np.testing.assert_allclose(boxes, expected, atol=1e-3)


def test_the_example_of_the_documentation_tracks_a_film(weights, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "first").mkdir(parents=True)
    shutil.copy(weights, tmp_path / "runs/first/best.safetensors")
    scenery = np.random.default_rng(0).integers(0, 256, (480, 700, 3), np.uint8)
    write_mp4(tmp_path / "film.mp4", 25, (np.ascontiguousarray(scenery[:, t : 640 + t]) for t in range(6)))
    page = (REPOSITORY / "docs" / "evaluation.md").read_text()
    (example,) = re.findall(r"## From Python\n.*?```python\n(.*?)```", page, re.DOTALL)
    found = {}
    exec(example, found)  # it is ours
    assert len(found["tracker"].chosen) == 6 and set(found["tracker"].chosen) <= {"given", "student", "kcf"}
    assert np.isfinite(found["box"]).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--tracker": "trast"}, "TRAST has one teacher, not 0"),
        ({"--teachers": "kcf"}, "tras has none"),
        ({"--tracker": "trasfust"}, "TRASFUST has no teachers"),
        ({"--out": "out.avi"}, "ends in .mp4"),
        ({"--out": "films.mp4"}, "this is a folder"),
        ({"--fps": "0"}, "give a number from 0.1 to 1000"),
        ({"--weights": "nowhere.safetensors"}, "nowhere.safetensors"),
        ({"--video": "nowhere"}, "nowhere"),
        ({"--video": "film.txt"}, "a film says nothing of its target: add --box"),
        ({"--video": "film.txt", "--box": ("1", "2", "3", "4")}, "this is no film that OpenCV can read"),
        ({"--box": ("1", "2", "0", "4")}, "with a width and a height above 0"),
        ({"--boxes": "films.mp4"}, "--boxes films.mp4: this is a folder"),
    ],
)
def test_mistakes_on_the_command_line(small_videos, weights, tmp_path, monkeypatch, capsys, change, message):
    folder = next((small_videos / "train").iterdir())
    monkeypatch.chdir(tmp_path)
    (tmp_path / "films.mp4").mkdir()
    options = {"--tracker": "tras", "--weights": weights, "--video": folder, "--out": tmp_path / "o.mp4"}
    (tmp_path / "film.txt").write_text("no film")
    words = [
        [name, *value] if isinstance(value, tuple) else [name, value]
        for name, value in {**options, **change}.items()
    ]
    assert track(*(word for part in words for word in part)) == 2
    assert message in capsys.readouterr().err
    assert not [path for path in tmp_path.glob("*.mp4") if path.is_file()]


def test_nothing_that_is_read_is_written_over(small_videos, weights, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    folder = shutil.copytree(next((small_videos / "train").glob("Synthetic*")), tmp_path / "own")
    pattern = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    write_mp4(tmp_path / "film.mp4", 25, [pattern] * 3)
    (tmp_path / "link.mp4").symlink_to("film.mp4")
    shutil.copy(weights, "w.safetensors")
    recorded = tmp_path / "results" / "T" / "own" / "own_001.txt"
    recorded.parent.mkdir(parents=True)
    recorded.write_text((folder / "groundtruth.txt").read_text())
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    start = ["--tracker", "tras", "--weights", "w.safetensors"]
    film = [*start, "--video", "film.mp4", "--box", 5, 5, 20, 20]
    beside = ["--tracker", "trast", "--teachers", "recorded:results/T"]
    read = "this file is read; give a name that writes over nothing"
    for words, said in [
        ([*film, "--out", "film.mp4"], f"--out film.mp4: {read}"),
        ([*film, "--out", "own/../film.mp4"], f"--out own/../film.mp4: {read}"),
        ([*film, "--out", "link.mp4"], f"--out link.mp4: {read}"),
        ([*film, "--out", "o.mp4", "--boxes", "film.mp4"], f"--boxes film.mp4: {read}"),
        ([*film, "--out", "o.mp4", "--boxes", "w.safetensors"], f"--boxes w.safetensors: {read}"),
        (
            [*start, "--video", "own", "--out", "o.mp4", "--boxes", "own/groundtruth.txt"],
            "--boxes own/groundtruth.txt: this file is there, and own is read",
        ),
        (
            [*start, "--video", "own", "--out", "o.mp4", "--boxes", "own/00000001.jpg"],
            "--boxes own/00000001.jpg: this file is there, and own is read",
        ),
        (
            [*start[2:], *beside, "--video", "own", "--out", "o.mp4", "--boxes", recorded],
            f"--boxes {recorded}: this file is there, and results/T is read",
        ),
    ]:
        assert track(*words) == 2
        assert said in capsys.readouterr().err
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    new = [*start, "--video", "own", "--out", "own/o.mp4", "--boxes", "own/tras.txt"]
    assert track(*new) == 0  # new names are free, and no folder is read for its films
    (folder / "tras.txt").unlink()
    assert track(*new) == 0
