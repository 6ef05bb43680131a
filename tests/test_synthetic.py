"""Synthetic videos: the same bytes whatever happens, boxes that fit, labels that agree."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from datasets import open_dataset
from datasets.boxes import overlap, to_corners
from datasets.command_line import run_only_command
from datasets.errors import DataError
from datasets.synthetic import SyntheticOptions, render, write_synthetic
from datasets.synthetic.command import Synth
from datasets.synthetic.figures import FIGURES, Figure, bush, pole
from datasets.synthetic.folder import write_video
from datasets.synthetic.motion import Actor, away
from datasets.synthetic.options import LENGTH_QUANTILES, frames, video_name
from datasets.synthetic.render import _background, cut_to, draw, draw_frame, silhouette
from datasets.synthetic.scene import difficulty_of, plan
from datasets.synthetic.sprites import make_part, material

REPOSITORY = Path(__file__).resolve().parent.parent
TINY = SyntheticOptions(videos=5, seed=3, max_length=6, image_size=(96, 64))


def contents(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("synthetic") / "data"
    write_synthetic(root, TINY)
    return root


# --- the same bytes -----


def test_bytes_do_not_depend_on_the_number_of_workers(written: Path, tmp_path: Path):
    write_synthetic(tmp_path / "two", TINY, workers=2)
    assert contents(tmp_path / "two") == contents(written)


def test_a_video_does_not_depend_on_the_number_of_videos(written: Path, tmp_path: Path):
    write_synthetic(tmp_path / "fewer", TINY.model_copy(update={"videos": 2}))
    for i in range(2):
        name = f"train/{video_name(i)}"
        assert contents(tmp_path / "fewer" / name) == contents(written / name)


def test_a_shorter_limit_cuts_a_video_and_does_not_change_it(written: Path, tmp_path: Path):
    write_synthetic(tmp_path / "short", TINY.model_copy(update={"max_length": 3, "videos": 1}))
    short, long = (contents(r / "train" / video_name(0)) for r in (tmp_path / "short", written))
    assert [n for n in short if n.endswith("jpg")] == [f"{i:08d}.jpg" for i in (1, 2, 3)]
    assert all(long[n] == short[n] for n in short if n.endswith("jpg"))
    assert long["groundtruth.txt"].startswith(short["groundtruth.txt"])


def test_threads_of_opencv_do_not_change_pixels():
    before = cv2.getNumThreads()
    options = SyntheticOptions(max_length=20, image_size=(640, 360), difficulty=(0.9, 1.0))
    try:
        images = []
        for threads in (1, 4):
            cv2.setNumThreads(threads)
            scene = plan(1, options)
            images.append([draw_frame(scene, t).image for t in (0, 12)])
    finally:
        cv2.setNumThreads(before)
    np.testing.assert_array_equal(images[0], images[1])


def test_seeds_and_videos_differ(written: Path):
    first = [next(render(seed, i, TINY))[0] for seed, i in ((3, 0), (3, 1), (4, 0))]
    assert len({image.tobytes() for image in first}) == 3


# --- a killed run -----


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_run_is_resumed_to_the_same_bytes(written: Path, tmp_path: Path, workers: int):
    root = tmp_path / "killed"
    code = (
        "import sys; from pathlib import Path\n"
        "from datasets.synthetic import SyntheticOptions, write_synthetic\n"
        "if __name__ == '__main__':\n"
        "    options = SyntheticOptions.model_validate_json(sys.argv[2])\n"
        "    write_synthetic(Path(sys.argv[1]), options, int(sys.argv[3]))\n"
    )
    script = tmp_path / "run.py"
    script.write_text(code)
    # Slow enough to be met half-way: the last of these videos is large and long.
    slow = TINY.model_copy(update={"image_size": (480, 360), "max_length": 40, "videos": 3})
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    arguments = [sys.executable, str(script), str(root), slow.model_dump_json(), str(workers)]
    process = subprocess.Popen(arguments, env=environment)
    while not list(root.glob("train/.Synthetic_Train_*.tmp-*/0000001*.jpg")):
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (root / "train" / "list.txt").exists()
    write_synthetic(root, slow)
    write_synthetic(tmp_path / "whole", slow)
    assert contents(root) == contents(tmp_path / "whole")


def test_what_a_killed_run_completed_is_kept(tmp_path: Path):
    root = tmp_path / "data"
    write_synthetic(root, TINY)
    expected = contents(root)
    kept = root / "train" / video_name(0) / "00000001.jpg"
    inode = kept.stat().st_ino
    (root / "train" / "list.txt").unlink()
    (root / "train" / video_name(1)).rename(root / "train" / f".{video_name(1)}.tmp-1")
    (root / ".synthetic.json.1.tmp").write_text("{")
    (root / "train" / video_name(2) / "00000002.jpg").write_bytes(b"")  # a power cut
    own = root / "train" / "Synthetic_Train_of_mine" / "empty"  # no folder of this writer's
    own.parent.mkdir()
    own.touch()
    write_synthetic(root, TINY)
    assert contents(root) == expected | {str(own.relative_to(root)): b""}
    assert kept.stat().st_ino == inode


def test_a_complete_folder_is_left_alone(written: Path):
    before = {p: p.stat().st_mtime_ns for p in written.rglob("*")}
    write_synthetic(written, TINY, workers=2)
    assert {p: p.stat().st_mtime_ns for p in written.rglob("*")} == before


# --- what may not be overwritten -----


def test_other_options_are_refused_unless_overwritten(tmp_path: Path):
    root, other = tmp_path / "data", TINY.model_copy(update={"seed": 9, "videos": 2})
    write_synthetic(root, TINY)
    before = contents(root)
    with pytest.raises(
        DataError, match=r"seed is 3 there and 9 here, videos is 5 there and 2 here.*--overwrite"
    ):
        write_synthetic(root, other)
    assert contents(root) == before
    (root / "train" / "mine").mkdir()
    write_synthetic(root, other, overwrite=True)
    assert (root / "train" / "mine").is_dir()
    (root / "train" / "mine").rmdir()
    write_synthetic(tmp_path / "fresh", other)
    assert contents(root) == contents(tmp_path / "fresh")


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_foreign_folder_is_never_touched(tmp_path: Path, overwrite: bool):
    (tmp_path / "train" / video_name(0)).mkdir(parents=True)
    (tmp_path / "train" / video_name(0) / "thesis.tex").write_text("years of work")
    with pytest.raises(DataError, match="not written by this generator"):
        write_synthetic(tmp_path, TINY, overwrite=overwrite)
    assert contents(tmp_path) == {f"train/{video_name(0)}/thesis.tex": b"years of work"}


@pytest.mark.parametrize(
    ("text", "message"), [("{", "not readable as JSON"), ("[1]", "does not hold the options")]
)
def test_a_broken_marker_is_named(tmp_path: Path, text: str, message: str):
    (tmp_path / "synthetic.json").write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        write_synthetic(tmp_path, TINY, overwrite=True)
    assert caught.value.path == tmp_path / "synthetic.json"


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path: Path):
    (tmp_path / "data").write_text("")
    with pytest.raises(DataError, match="is not a folder"):
        write_synthetic(tmp_path / "data", TINY)


def test_two_runs_at_one_place_are_refused(tmp_path: Path):
    import fcntl

    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with pytest.raises(DataError, match="another process is writing here"):
            write_synthetic(tmp_path, TINY)
    finally:
        os.close(descriptor)
    assert contents(tmp_path) == {}


# --- options -----


@pytest.mark.parametrize(
    "wrong",
    [
        {"videos": 0},
        {"seed": -1},
        {"max_length": 1},
        {"image_size": (32, 64)},
        {"image_size": (64, 5000)},
        {"quality": 101},
        {"difficulty": (0.0, 1.5)},
        {"difficulty": (0.8, 0.2)},
        {"vidoes": 3},
    ],
)
def test_bad_options_are_refused_by_name(wrong: dict[str, object]):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        SyntheticOptions.model_validate(wrong)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"videos": 0}, "--videos is 0: Input should be greater than or equal to 1"),
        ({"image_size": "big"}, "--image-size is 'big': give WIDTHxHEIGHT, such as 1280x720"),
        ({"image_size": "32x64"}, "--image-size is 32: "),
        ({"difficulty": (0.8, 0.2)}, r"difficulty is \(easiest, hardest\), not \(0.8, 0.2\)"),
        ({"workers": 0}, "workers is 0"),
    ],
)
def test_the_command_says_which_option_is_wrong(tmp_path: Path, wrong: dict[str, object], message: str):
    with pytest.raises(ValueError, match=message):
        Synth(out=tmp_path / "out", **wrong).run()  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


def test_the_command_line_ends_in_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "mine").write_text("")
    arguments = [str(tmp_path), "--videos", "2", "--difficulty", "0.1", "0.5"]
    assert run_only_command(Synth, "synth", args=arguments) == 2
    assert "is not empty and was not written by this generator" in capsys.readouterr().err


def test_the_command_writes_videos(written: Path, tmp_path: Path):
    command = Synth(out=tmp_path / "out", videos=5, seed=3, max_length=6, image_size="96x64", workers=1)
    assert command.run() == 0
    assert contents(tmp_path / "out") == contents(written)


# --- the layout -----


def test_the_layout_is_got10ks(written: Path):
    names = (written / "train" / "list.txt").read_text().splitlines()
    assert names == [f"Synthetic_Train_{i:06d}" for i in range(1, 6)]
    for name in names:
        folder = written / "train" / name
        images = sorted(p.name for p in folder.glob("*.jpg"))
        assert images == [f"{i:08d}.jpg" for i in range(1, 7)]
        rows = (folder / "groundtruth.txt").read_text().splitlines()
        assert all(len(v.partition(".")[2]) == 4 for row in rows for v in row.split(","))
        lines = {k: (folder / f"{k}.label").read_text().split() for k in ("absence", "cover", "cut_by_image")}
        assert {len(rows), *map(len, lines.values())} == {6}
        assert set(lines["absence"]) <= {"0", "1"}
        assert set(lines["cut_by_image"]) <= {"0", "1"}
        assert {int(c) for c in lines["cover"]} <= set(range(9))
        assert [a == "1" for a in lines["absence"]] == [c == "0" for c in lines["cover"]]
        assert (folder / "meta_info.ini").read_text().splitlines()[-1] == "resolution: (96, 64)"
        assert cv2.imread(str(folder / images[0])).shape == (64, 96, 3)
    assert json.loads((written / "synthetic.json").read_text())["options"]["seed"] == 3


def test_reading_the_files_gives_the_rendered_boxes(written: Path):
    dataset = open_dataset(f"synthetic:{written}:train")
    for i, video in enumerate(dataset):
        rendered = list(render(3, i, TINY))
        np.testing.assert_array_equal(video.ground_truth, [box for _, box, _ in rendered])
        np.testing.assert_array_equal(video.absent, [visible == 0 for _, _, visible in rendered])
        assert video.object_class in FIGURES


def test_labels_tell_how_much_of_the_target_can_be_seen(tmp_path: Path):
    """To the nearest eighth; this target is hidden, and leaves the image."""
    options = TINY.model_copy(update={"seed": 5, "difficulty": (1.0, 1.0), "max_length": 40})
    write_video(tmp_path, 0, options)
    scene = plan(0, options)
    drawn = [draw_frame(scene, t) for t in range(scene.length)]
    folder = tmp_path / video_name(0)
    cover, cut = ((folder / f"{k}.label").read_text().split() for k in ("cover", "cut_by_image"))
    assert cover == [str(round(8 * frame.visible)) for frame in drawn]
    assert any(8 * frame.visible % 1 > 0.5 for frame in drawn)
    assert cut == [str(int(frame.cut)) for frame in drawn]
    assert len({frame.cut for frame in drawn}) == 2


def test_a_target_is_absent_where_less_than_a_sixteenth_of_it_can_be_seen():
    """It leaves the image to the left, pixel by pixel."""
    scene = plan(0, TINY.model_copy(update={"difficulty": (0.0, 0.0)}))
    scene = replace(scene, front=(), behind=(), exposure=0.0)
    x, _, w, _ = silhouette(scene.target, 0)
    seen = []
    for shift in np.arange(x, x + w + 1, 0.5):
        moved = replace(scene.target, centre=scene.target.centre - [shift, 0])
        frame = draw_frame(replace(scene, target=moved), 0)
        seen.append(frame.visible)
        assert (frame.visible == 0) == (frame.box[0] == -1)
    assert 0 in seen
    assert 1 / 16 <= min(v for v in seen if v) < 1 / 9


def test_the_camera_sees_the_place_pixel_by_pixel():
    scene = plan(0, TINY)
    y, x = (side // 2 for side in scene.place.shape[:2])
    scene = replace(scene, camera=np.tile([x, y, 1.0, 0.0], (scene.length, 1)))
    np.testing.assert_array_equal(_background(scene, 3), scene.place[y - 32 : y + 32, x - 48 : x + 48])


def test_velocity_is_in_pixels_per_frame():
    actor = plan(0, TINY).target
    moving = replace(actor, centre=np.outer(np.arange(len(actor.centre)), [3.0, -2.0]))
    for frame in (0, 1, 4, len(actor.centre) - 1):
        np.testing.assert_allclose(moving.velocity(frame), [3, -2])


# --- boxes -----


def alpha_of(actor: Actor, frame: int, size: tuple[int, int]) -> tuple[np.ndarray, int, int]:
    layer = draw(actor, frame, 0.0, size, whole=True)
    assert layer is not None
    return layer.pixels[..., 3], layer.left, layer.top


@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from(sorted(FIGURES)),
    seed=st.integers(0, 1000),
    size=st.floats(40, 160),
    angle=st.floats(-3, 3),
    stretch=st.floats(-0.3, 0.3),
    shear=st.floats(-0.3, 0.3),
    place=st.tuples(st.floats(90, 110), st.floats(90, 110)),
    frame=st.integers(0, 29),
)
def test_boxes_fit_the_drawn_silhouette(
    kind: str,
    seed: int,
    size: float,
    angle: float,
    stretch: float,
    shear: float,
    place: tuple[float, float],
    frame: int,
):
    sprite = FIGURES[kind](np.random.default_rng(seed), 0.3, size, 1.0)
    flat = np.ones(30)
    centre = np.asarray(place) * flat[:, None]
    actor = Actor(sprite, centre, flat * size, flat * angle, flat * stretch, flat * shear, seed % 2 == 0)
    alpha, left, top = alpha_of(actor, frame, (200, 200))
    rows, columns = np.nonzero((alpha > 127).any(axis=1))[0], np.nonzero((alpha > 127).any(axis=0))[0]
    drawn = [left + columns[0], top + rows[0], left + columns[-1] + 1, top + rows[-1] + 1]
    # Half a pixel for the grid, and soft corners: a sharp tip fades before its end.
    tolerance = 1.2 + 0.04 * size
    np.testing.assert_allclose(to_corners(silhouette(actor, frame)), drawn, atol=tolerance)


def test_boxes_are_cut_by_the_image_and_absent_frames_have_none():
    options = SyntheticOptions(image_size=(160, 90), max_length=110, difficulty=(0.5, 1.0))
    seen_cut = seen_absent = 0
    for index in range(12):
        scene = plan(index, options)
        for t in range(0, scene.length, 2):
            frame = draw_frame(scene, t)
            whole = silhouette(scene.target, t)
            if frame.visible == 0:
                seen_absent += 1
                assert frame.box.tolist() == [-1, -1, -1, -1]
                continue
            left, top, right, bottom = to_corners(frame.box)
            assert 0 <= left < right <= 160.0001
            assert 0 <= top < bottom <= 90.0001
            assert frame.visible >= 1 / 16
            np.testing.assert_allclose(frame.box, cut_to(whole, (160, 90)), atol=1e-4)
            assert frame.cut == (overlap(whole, cut_to(whole, (160, 90))) < 1)
            seen_cut += frame.cut
    assert seen_cut > 0
    assert seen_absent > 0


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.98, 1.5])
def test_what_passes_in_front_lowers_visibility(share: float):
    scene = plan(0, SyntheticOptions(image_size=(160, 120), difficulty=(0.0, 0.0)))
    x, y, w, h = silhouette(scene.target, 0)
    alpha, left, _ = alpha_of(scene.target, 0, scene.size)
    edge, side = round(x + share * w), 4 * max(w, h)
    square = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
    rng = np.random.default_rng(0)
    curtain = make_part(rng, square, material(rng, 0.1), side)
    still = np.zeros(scene.length)
    centre = np.array([edge + side / 2, y + h / 2]) + np.zeros((scene.length, 2))
    actor = Actor((curtain,), centre, still + side, still, still, still)
    frame = draw_frame(replace(scene, front=(actor,)), 0)
    expected = alpha[:, : edge - left].sum(dtype=np.float64) / alpha.sum(dtype=np.float64)
    assert frame.visible == pytest.approx(expected if expected > 1 / 16 else 0, abs=0.03)
    if frame.visible > 0:  # the box is the whole target's, hidden or not
        np.testing.assert_allclose(frame.box, [x, y, w, h], atol=1e-4)


@pytest.mark.parametrize("occluder", [pole, bush])
def test_occluders_are_drawn_as_large_as_they_are_planned(occluder: Figure):
    sprite = occluder(np.random.default_rng(1), 0.3, 100.0, 0.4)
    one = np.ones(1)
    actor = Actor(sprite, np.full((1, 2), 300.0), 100 * one, 0 * one, 0 * one, 0 * one)
    x, y, w, h = silhouette(actor, 0)
    assert 25 < w < 200
    assert h == pytest.approx(340) if occluder is pole else 50 < h < 200
    assert x < 300 < x + w
    assert y < 300 < y + h


def test_every_video_begins_with_a_target_that_can_be_seen():
    for index in range(60):
        scene = plan(index, SyntheticOptions(image_size=(160, 90)))
        first = draw_frame(scene, 0)
        assert first.visible > 0.7
        assert not first.cut
        assert first.box[2:].prod() > 100


# --- distributions -----


def test_lengths_are_distributed_like_got10ks():
    options = SyntheticOptions()
    lengths = np.array([frames(i, options) for i in range(3000)])
    # The quantiles of the 9,160 public lengths of GOT-10k's training videos.
    for q, expected in ((0.05, 71), (0.1, 80), (0.25, 90), (0.5, 101), (0.75, 160), (0.9, 281)):
        assert abs(np.quantile(lengths, q) - expected) <= 0.08 * expected
    assert abs(lengths.mean() - 150.6) < 8
    assert np.isin(lengths, (70, 71, 80, 81, 90, 91, 100, 101)).mean() > 0.45
    assert sorted(LENGTH_QUANTILES) == list(LENGTH_QUANTILES)
    assert max(frames(i, options.model_copy(update={"max_length": 90})) for i in range(100)) == 90


def test_difficulties_fill_their_range_for_any_number_of_videos():
    options = SyntheticOptions(difficulty=(0.2, 0.6))
    for count in (10, 40):
        values = np.sort([difficulty_of(i, options) for i in range(count)])
        assert values[0] >= 0.2
        assert values[-1] < 0.6
        assert np.diff(values, prepend=0.2, append=0.6).max() < 0.4 * 2.7 / count


def test_harder_videos_move_more_and_change_their_size_more():
    def restless(difficulty: float) -> np.ndarray:
        options = SyntheticOptions(image_size=(160, 90), difficulty=(difficulty, difficulty))
        actors = [plan(i, options).target for i in range(8)]
        speed = [np.linalg.norm(np.diff(a.centre[:60], axis=0), axis=1).mean() for a in actors]
        return np.array([np.mean(speed), np.mean([np.log(a.size[:60]).std() for a in actors])])

    easy, middle, hard = restless(0.0), restless(0.5), restless(1.0)
    assert (easy < middle).all()
    assert (middle < hard).all()


def test_some_targets_turn_away_and_back():
    straight = SyntheticOptions(image_size=(160, 90), max_length=110, difficulty=(0.0, 0.1))
    turning = straight.model_copy(update={"turning": 0.4})
    turned = 0
    for index in range(20):
        plain, scene = plan(index, straight), plan(index, turning)
        np.testing.assert_array_equal(draw_frame(plain, 0).image, draw_frame(scene, 0).image)
        before, after = (
            np.array([silhouette(s.target, t) for t in range(scene.length)]) for s in (plain, scene)
        )
        if np.array_equal(before, after):
            assert all(
                np.array_equal(draw_frame(plain, t).image, draw_frame(scene, t).image) for t in (20, 60)
            )
            continue
        turned += 1
        width = after[:, 2] / before[:, 2]
        narrowest = int(width.argmin())
        assert 0.44 < width[narrowest] < 0.86
        assert width[0] == 1
        assert np.all(np.diff(width[: narrowest + 1]) < 1e-9)
        np.testing.assert_allclose(after[:, 3], before[:, 3], rtol=1e-3)
        np.testing.assert_allclose(after[:, 0] + after[:, 2] / 2, before[:, 0] + before[:, 2] / 2, atol=3)
    assert 3 <= turned <= 13


def test_a_target_that_leaves_comes_back():
    path = away(100, 20, 10, 15)
    assert path[20] == 0
    assert (path[30:46] == 1).all()
    assert path[55] == 0
    assert ((path >= 0) & (path <= 1)).all()
