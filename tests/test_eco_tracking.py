"""Hand-crafted ECO on whole videos: what it follows, what its boxes depend on, what it refuses."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
import scipy.io
from eco_samples import Floats, boxes_of, moving, texture
from golden_sequence import sequence
from numpy.typing import NDArray

from datasets.boxes import overlap
from datasets.errors import DataError
from datasets.otb import Otb
from teachers.base import Task, TeacherError
from teachers.eco import Eco
from teachers.eco.target import target_of
from teachers.features.colours import ENTRIES, basic_colours, read_table
from teachers.options import TeacherConfigError, checked_options

# Whole videos


def success(overlaps: NDArray[np.float64]) -> float:
    return float(np.mean([(overlaps > threshold).mean() for threshold in np.linspace(0, 1, 21)]))


def test_follows_a_moving_texture():
    images, truth = moving()
    own = boxes_of(Eco(), images, truth[0])
    assert own.dtype == np.float32
    np.testing.assert_allclose(own[0], truth[0], rtol=1e-6)
    assert np.abs(own - truth).max() < 2.5


def test_learns_in_the_first_frames_and_in_every_sixth_one_after_them():
    images, truth = moving(23)
    teacher, trained = Eco(), []
    teacher.start(images[0], truth[0], Task("v", 23))
    for number, image in enumerate(images[1:], start=2):
        teacher.track(image)
        if teacher._model._trained == number:
            trained.append(number)
    assert trained == [*range(2, 10), 15, 21]


def test_a_target_may_be_a_hundred_times_as_long_as_it_is_wide():
    image = np.zeros((40, 260, 3), np.uint8)
    assert target_of(image, np.float32([10, 10, 200, 2]), Task("v", 1), "eco").size == (2, 200)


def test_follows_growth():
    images, truth = moving(20, growth=1.02)
    own = boxes_of(Eco(), images, truth[0])
    assert overlap(own, truth).min() > 0.8
    assert own[-1, 2] > 50


def test_follows_without_colour():
    images, truth = moving(colour=False)
    assert overlap(boxes_of(Eco(), images, truth[0]), truth).min() > 0.85


def test_equal_red_and_green_in_the_first_frame_leave_red_alone_to_the_whole_video():
    images, truth = moving(4)
    red = [np.repeat(image[..., 2:], 3, axis=2) for image in images]
    without_blue, without_green = (image.copy() for image in (red[0], red[0]))
    without_blue[..., 0] = 0
    without_green[..., 1] = 0
    grey = boxes_of(Eco(), red, truth[0])
    np.testing.assert_array_equal(boxes_of(Eco(), [without_blue, *images[1:]], truth[0]), grey)
    assert not np.array_equal(boxes_of(Eco(), [without_green, *images[1:]], truth[0]), grey)


def test_boxes_depend_neither_on_what_ran_before_nor_on_the_instance_or_threads():
    images, truth = moving()
    teacher = Eco()
    first = boxes_of(teacher, images, truth[0])
    boxes_of(teacher, images[::-1], truth[-1] + (3, -2, 20, -9))
    np.testing.assert_array_equal(boxes_of(teacher, images, truth[0]), first)
    before = cv2.getNumThreads()
    try:
        cv2.setNumThreads(4)
        np.testing.assert_array_equal(boxes_of(Eco(), images, truth[0], "another name"), first)
    finally:
        cv2.setNumThreads(before)


def test_two_interleaved_videos_do_not_disturb_each_other():
    images, truth = moving()
    alone = boxes_of(Eco(), images, truth[0])
    one, other = Eco(), Eco()
    shifted = truth[0] + np.float32([2, 3, 10, 0])
    together = [one.start(images[0], truth[0], Task("a", 14))]
    other.start(images[0], shifted, Task("b", 14))
    for image in images[1:]:
        other.track(image)
        together.append(one.track(image))
    np.testing.assert_array_equal(together, alone)


def test_noise_is_keyed_by_seed_and_video():
    images, truth = moving(6)

    def noisy(seed: int, name: str) -> Floats:
        return boxes_of(Eco(noise=1e-2, seed=seed), images, truth[0], name)

    first = noisy(1, "a")
    np.testing.assert_array_equal(noisy(1, "a"), first)
    assert not np.array_equal(noisy(2, "a"), first)
    assert not np.array_equal(noisy(1, "b"), first)
    assert np.abs(first - boxes_of(Eco(), images, truth[0])).max() < 2


@pytest.mark.parametrize(("name", "frames", "score"), [("Woman", 60, 0.84), ("Freeman1", 50, 0.73)])
def test_early_frames_of_real_sequences(real_data: Path, name: str, frames: int, score: float):
    video = Otb(real_data / "otb")[name]
    images = [cv2.imread(str(path)) for path in video.frames[:frames]]
    own = boxes_of(Eco(), images, video.ground_truth[0], name)
    # The success score of this implementation, measured once; chaos has not set in yet.
    assert success(overlap(own, video.ground_truth[:frames])) == pytest.approx(score, abs=0.03)


@pytest.mark.parametrize(
    ("box", "grey", "expected"),
    [
        (
            (90.3, 80.4, 47.6, 64.2),
            False,
            [
                [110.472, 91.908, 49.056, 66.164],
                [146.82, 76.913, 53.748, 72.493],
                [182.942, 75.037, 57.908, 78.103],
            ],
        ),
        (
            (90.3, 80.4, 47.6, 64.2),
            True,
            [
                [110.829, 92.393, 48.124, 64.907],
                [147.223, 77.469, 53.95, 72.764],
                [183.041, 75.24, 58.343, 78.689],
            ],
        ),
        (
            (90.3, 80.4, 12, 16.5),
            False,
            [
                [111.338, 92.547, 12.016, 16.522],
                [147.172, 77.239, 13.594, 18.692],
                [183.667, 75.842, 13.848, 19.042],
            ],
        ),
        (
            (70, 66, 92, 97),
            False,
            [
                [69.598, 66.25, 92.308, 97.325],
                [124.669, 61.193, 104.142, 109.802],
                [158.5, 57.595, 111.955, 118.04],
            ],
        ),
    ],
)
def test_boxes_are_those_of_the_published_settings(
    box: tuple[float, ...], grey: bool, expected: list[list[float]]
):
    """Measured once; a wrong setting moves them by more than the tolerance, rounding by far less."""
    frames, _ = sequence(24)
    if grey:
        frames = [np.repeat(frame[..., 1:2], 3, axis=2) for frame in frames]
    teacher = Eco()
    # A video said to have eight frames has a sample memory of eight, which is full long before the end.
    teacher.start(frames[0], np.array(box, np.float32), Task("video", 8))
    own = [teacher.track(frame) for frame in frames[1:]]
    np.testing.assert_allclose([own[t - 1] for t in (5, 14, 23)], expected, atol=2e-2, rtol=0)


def test_a_target_that_grows_beyond_the_image_is_followed_to_its_width():
    image = texture(3, 120, 160, 3)
    frames = []
    for t in range(8):
        zoom = cv2.getRotationMatrix2D((79.5, 59.5), 0, 1.04**t)
        frames.append(cv2.warpAffine(image, zoom, (160, 120), borderMode=cv2.BORDER_REFLECT))
    own = boxes_of(Eco(), frames, np.array([10, 11, 140, 98], dtype=np.float32))
    np.testing.assert_array_equal(own[5:, 2:], own[[4] * 3, 2:])
    assert 160 / 1.02 < own[-1, 2] <= 160


@pytest.mark.parametrize(
    ("box", "side"), [((5, 5, 1, 1), 37.5 * 1.02**-176), ((-50, -50, 160, 160), 50 * 1.02**9)]
)
def test_the_first_box_has_the_scale_within_its_limits(box: tuple[float, ...], side: float):
    """A region of at least five pixels, and a target of at most the image's height: each to whole steps."""
    frame = np.random.default_rng(3).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    own = Eco().start(frame, np.array(box, dtype=np.float32), Task("video", 1))
    np.testing.assert_allclose(own[2:], side, rtol=1e-6)


def test_a_users_table_is_taken(tmp_path: Path):
    images, truth = moving(4)
    path = tmp_path / "table.npy"
    np.save(path, basic_colours().values)
    # The rank of a user's table is its width: the same colours with another weight.
    own = boxes_of(Eco(colour_names=path), images, truth[0])
    assert 0 < np.abs(own - boxes_of(Eco(), images, truth[0])).max() < 1


# Bad input


@pytest.mark.parametrize(
    ("box", "problem"),
    [
        ((200, 10, 30, 30), "outside the image"),
        ((10, -30, 30, 30), "outside the image"),
        ((np.nan, 10, 30, 30), "not a box"),
        ((10, 10, 0, 30), "not a box"),
        ((10, 10, np.inf, 30), "not a box"),
        ((10, 10, 0.5, 30), "too thin"),
        ((10, 10, 1, 101), "too thin"),
    ],
)
def test_refuses_targets_that_it_cannot_track(box: tuple[float, ...], problem: str):
    image = np.zeros((150, 200, 3), dtype=np.uint8)
    teacher = Eco()
    with pytest.raises(TeacherError, match=f"odd-name.*{problem}"):
        teacher.start(image, np.array(box, dtype=np.float32), Task("odd-name", 1))
    with pytest.raises(TeacherError, match="before start"):
        teacher.track(image)


def test_refuses_images_without_colour():
    box = np.array([10, 10, 30, 30], dtype=np.float32)
    for image in (np.zeros((99, 99), np.uint8), np.zeros((99, 99, 3), np.float32)):
        with pytest.raises(ValueError, match="colour images"):
            Eco().start(image, box, Task("a", 1))
    with pytest.raises(ValueError, match="needs images"):
        Eco().start(None, box, Task("a", 1))


@pytest.mark.parametrize("noise", [-0.1, math.nan, 2.0])
def test_refuses_noise_without_meaning(noise: float):
    with pytest.raises(TeacherConfigError, match="eco: noise = "):
        Eco(noise=noise)


def test_options_are_checked_by_their_types(tmp_path: Path):
    assert checked_options("eco", Eco, {"noise": 0, "seed": 3}) == {"noise": 0.0, "seed": 3}
    wrong = {"colour_names": str(tmp_path / "missing.mat"), "nois": 1, "seed": 1.5}
    with pytest.raises(TeacherConfigError, match=r"colour_names.*file.*nois .*did you mean noise.*seed"):
        checked_options("eco", Eco, wrong)


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (np.zeros((99, 10)), "shape .99, 10."),
        (np.zeros((ENTRIES, 2)), "shape"),
        (np.where(np.arange(ENTRIES * 3).reshape(-1, 3) == 6, np.nan, 0), "row 2"),
    ],
)
def test_refuses_tables_that_are_none(tmp_path: Path, values: NDArray[np.float64], problem: str):
    path = tmp_path / "table.npy"
    np.save(path, values)
    with pytest.raises(DataError, match=problem):
        Eco(colour_names=path)


def test_reads_tables_as_matlab_writes_them(tmp_path: Path):
    values = np.random.default_rng(1).random((ENTRIES, 10))
    scipy.io.savemat(tmp_path / "old.mat", {"CNnorm": values})
    with h5py.File(tmp_path / "new.mat", "w", userblock_size=512) as file:
        file["w2crs"] = values.T  # its columns follow each other
    header = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM"
    with (tmp_path / "new.mat").open("r+b") as file:
        file.write(header)
    for name in ("old.mat", "new.mat"):
        assert np.array_equal(read_table(tmp_path / name).values, values.astype(np.float32))


def test_reads_the_published_tables(real_data: Path):
    folder = real_data / "weights" / "colour_names"
    for name in ("CNnorm.mat", "w2crs.mat"):
        table = read_table(folder / name)
        assert table.values.shape == (ENTRIES, 10) and table.rank == 10


@pytest.mark.parametrize("name", ["table.npy", "table.mat", "table.txt"])
def test_refuses_files_that_hold_no_numbers(tmp_path: Path, name: str):
    path = tmp_path / name
    path.write_bytes(b"these are words\n")
    with pytest.raises(DataError, match=name):
        read_table(path)


def test_flat_images_tiny_targets_and_targets_that_leave_are_followed_without_error():
    flat = [np.full((120, 160, 3), (10, 128, 90), dtype=np.uint8)] * 4
    own = boxes_of(Eco(), flat, np.array([50, 40, 30, 30], dtype=np.float32))
    assert np.isfinite(own).all()
    rng = np.random.default_rng(3)
    noise = [rng.integers(0, 256, (60, 80, 3), dtype=np.uint8) for _ in range(12)]
    for box in ((-20, -20, 30, 30), (70, 50, 60, 60), (-50, -50, 160, 160), (5, 5, 1, 1), (3, 3, 1, 40)):
        own = boxes_of(Eco(), noise, np.array(box, dtype=np.float32))
        assert np.isfinite(own).all() and (own[:, 2:] > 0).all()


def test_videos_of_one_and_two_frames():
    images, truth = moving(2)
    assert boxes_of(Eco(), images[:1], truth[0]).shape == (1, 4)
    assert overlap(boxes_of(Eco(), images, truth[0]), truth).min() > 0.8
