"""KCF equals the published boxes, row for row, and FHOG the published code's numbers."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import teachers
from datasets.otb import Otb
from teachers.base import Task, Teacher, TeacherError
from teachers.features.fhog import FHOG
from teachers.features.intel_tables import reciprocal, reciprocal_root, votes
from teachers.kcf import Kcf
from teachers.kcf.correlation import Correlation
from teachers.kcf.costs import FEATURES, SINGLE, direct_is_faster
from teachers.kcf.maps import Maps
from teachers.kcf.patch import Window
from teachers.kcf.spectrum import Spectrum
from teachers.kcf.tracker import label

if TYPE_CHECKING:
    from numpy.typing import NDArray

TARGETS = {
    "Bolt2": 293,
    "David": 471,
    "Diving": 215,
    "DragonBaby": 113,
    "FaceOcc1": 892,
    "Freeman1": 326,
    "Jogging-1": 307,
    "Jogging-2": 307,
    "MotorRolling": 164,
    "Skiing": 81,
    "Walking2": 500,
    "Woman": 597,
}


def boxes_of(
    teacher: Teacher, frames: list[NDArray[np.uint8]], box: NDArray[np.float32]
) -> NDArray[np.float32]:
    first = teacher.start(frames[0], box, Task("video", len(frames)))
    return np.array([first, *(teacher.track(frame) for frame in frames[1:])])


def moving_texture(frames: int = 25, size: int = 40) -> tuple[list[NDArray[np.uint8]], NDArray[np.float32]]:
    """A textured square on a textured ground, moving along a sine; images and true boxes, 0-based."""
    rng = np.random.default_rng(7)
    ground = cv2.GaussianBlur(rng.integers(0, 256, (240, 320, 3), dtype=np.uint8), (0, 0), 3)
    target = cv2.GaussianBlur(rng.integers(0, 256, (size, size, 3), dtype=np.uint8), (0, 0), 1.5)
    images, boxes = [], []
    for t in range(frames):
        x, y = 60 + 5 * t, round(90 + 30 * math.sin(t / 6))
        image = ground.copy()
        image[y : y + size, x : x + size] = target
        images.append(image)
        boxes.append((x, y, size, size))
    return images, np.array(boxes, dtype=np.float32)


@pytest.mark.parametrize("name", TARGETS)
def test_every_row_equals_the_published_one(real_data: Path, name: str):
    video = Otb(real_data / "otb")[name]
    folder = real_data / "results" / "OTB100" / "KCF"
    (file,) = (p for p in folder.iterdir() if p.stem.lower() == name.lower())
    published = np.loadtxt(file, delimiter=",")
    assert published.shape == (TARGETS[name], 4)
    frames = [cv2.imread(str(path)) for path in video.frames]
    own = boxes_of(Kcf(), frames, video.ground_truth[0])
    np.testing.assert_allclose(own + np.array([1, 1, 0, 0]), published, rtol=0, atol=1e-4)


def test_follows_a_moving_texture_and_forgets_it():
    images, truth = moving_texture()
    teacher = Kcf()
    first = boxes_of(teacher, images, truth[0])
    # The boxes move in steps of four pixels, and a step is taken only where the response says so.
    assert np.abs(first[:, :2] - truth[:, :2]).max() <= 6
    assert (first[:, 2:] == 40).all()
    other = boxes_of(teacher, images[::-1], truth[-1] + (3, -2, 20, -9))
    assert not np.array_equal(first, other)
    np.testing.assert_array_equal(boxes_of(teacher, images, truth[0]), first)
    np.testing.assert_array_equal(boxes_of(Kcf(), images, truth[0]), first)


def test_a_large_target_is_tracked_in_halved_frames():
    images, truth = moving_texture(12)
    doubled = [cv2.resize(image, None, fx=3, fy=3) for image in images]
    own = boxes_of(Kcf(), doubled, truth[0] * 3)
    np.testing.assert_array_equal(boxes_of(Kcf(), doubled, truth[0] * 3), own)
    assert np.abs(own[:, :2] - 3 * truth[:12, :2]).max() <= 12
    assert set(np.unique(np.diff(own[:, 0]) % 8)) == {0}


def test_threads_change_nothing():
    images, truth = moving_texture(10)
    before = cv2.getNumThreads()
    try:
        results = []
        for threads in (1, 4):
            cv2.setNumThreads(threads)
            results.append(boxes_of(Kcf(), images, truth[0]))
    finally:
        cv2.setNumThreads(before)
    np.testing.assert_array_equal(*results)


def test_the_first_box_is_the_published_rounding():
    image = np.random.default_rng(0).integers(0, 256, (400, 400, 3), dtype=np.uint8)
    # 1-based (446, 181, 29, 26) gives (445.5, 181): the centre is floored, the report is not.
    box = Kcf().start(image, np.array([245, 180, 29, 26], dtype=np.float32), Task("a", 1))
    assert box.dtype == np.float32
    np.testing.assert_array_equal(box, [244.5, 180, 29, 26])
    # The same of a frame that is halved, as it is from 100 x 100 on.
    box = Kcf().start(image, np.array([20, 20, 100, 100], dtype=np.float32), Task("a", 1))
    np.testing.assert_array_equal(box, [19, 19, 100, 100])


@pytest.mark.parametrize(
    ("box", "problem"),
    [
        ((10, 10, 4, 30), "too small"),
        ((10, 10, 30, 4.7), "too small"),
        ((10, 10, 9, 1200), "too small"),
        ((200, 10, 30, 30), "outside the image"),
        ((10, -30, 30, 30), "outside the image"),
        ((np.nan, 10, 30, 30), "not a box"),
        ((10, 10, 0, 30), "not a box"),
        ((10, 10, np.inf, 30), "not a box"),
    ],
)
def test_refuses_targets_that_it_cannot_track(box: tuple[float, ...], problem: str):
    image = np.zeros((150, 200, 3), dtype=np.uint8)
    with pytest.raises(TeacherError, match=f"odd-name.*{problem}"):
        Kcf().start(image, np.array(box, dtype=np.float32), Task("odd-name", 1))


def test_refuses_images_without_colour():
    box = np.array([10, 10, 30, 30], dtype=np.float32)
    for image in (
        np.zeros((99, 99), np.uint8),
        np.zeros((99, 99, 3), np.float32),
        np.zeros((99, 99, 4), np.uint8),
    ):
        with pytest.raises(ValueError, match="colour images"):
            Kcf().start(image, box, Task("a", 1))
    with pytest.raises(ValueError, match="needs images"):
        Kcf().start(None, box, Task("a", 1))


def test_a_failed_start_leaves_no_target_behind():
    images, truth = moving_texture(2)
    teacher = Kcf()
    with pytest.raises(TeacherError, match="before start"):
        teacher.track(images[0])
    teacher.start(images[0], truth[0], Task("a", 2))
    with pytest.raises(TeacherError):
        teacher.start(images[0], np.zeros(4, np.float32), Task("a", 2))
    with pytest.raises(TeacherError, match="before start"):
        teacher.track(images[1])


def test_flat_images_and_targets_that_leave_are_followed_without_error():
    flat = [np.full((120, 160, 3), 128, dtype=np.uint8)] * 4
    own = boxes_of(Kcf(), flat, np.array([50, 40, 30, 30], dtype=np.float32))
    np.testing.assert_array_equal(own, np.tile(own[0], (4, 1)))
    rng = np.random.default_rng(3)
    noise = [rng.integers(0, 256, (60, 80, 3), dtype=np.uint8) for _ in range(40)]
    for box in ((-20, -20, 30, 30), (70, 50, 60, 60), (-50, -50, 160, 160)):
        assert np.isfinite(boxes_of(Kcf(), noise, np.array(box, dtype=np.float32))).all()


@pytest.mark.parametrize(
    "options",
    [
        {"padding": 0.0},
        {"lambda_": -1.0},
        {"kernel_sigma": math.nan},
        {"interp_factor": 1.5},
        {"cell": 1},
        {"cell": 4.0},
        {"output_sigma_factor": math.inf},
    ],
)
def test_refuses_options_without_meaning(options: dict[str, float]):
    with pytest.raises(ValueError, match=f"kcf: {next(iter(options))} is"):
        Kcf(**options)


def test_a_new_frame_may_be_all_of_the_model():
    images, truth = moving_texture(5)
    assert np.abs(boxes_of(Kcf(interp_factor=1.0), images, truth[0])[:, :2] - truth[:5, :2]).max() <= 4


def test_other_cells_and_paddings_follow_too():
    images, truth = moving_texture()
    for teacher in (Kcf(cell=6), Kcf(cell=5), Kcf(padding=2.0, interp_factor=0.05)):
        assert isinstance(teacher, Teacher)
        assert np.abs(boxes_of(teacher, images, truth[0])[:, :2] - truth[:, :2]).max() <= 9


def test_the_approximate_roots_are_the_modelled_ones():
    np.testing.assert_allclose(reciprocal([1, 3]), [0.99975586, 0.33325195], rtol=1e-7)
    np.testing.assert_allclose(reciprocal_root([1, 2, 3]), [0.99975586, 0.7069092, 0.5772705], rtol=1e-7)


@given(st.floats(min_value=2.0**-100, max_value=2.0**100, width=32))
def test_the_approximate_roots_keep_their_stated_error(x: float):
    # Intel's bound for the instructions, with room for the model's second order.
    bound = 1.502 * 2.0**-12
    assert abs(float(reciprocal(x)) * x - 1) <= bound
    assert abs(float(reciprocal_root(x)) * math.sqrt(x) - 1) <= bound


def test_votes_of_axis_parallel_gradients():
    table = votes()
    assert table.magnitude[0, 0] == 0
    bins = table.bins[10, 0]  # gx = 0 lies on a border between bins
    assert [int(bins) >> shift & 255 for shift in (0, 8, 16, 24)] == [5, 5, 14, 14]


def test_fhog_of_the_worked_example():
    y, x = np.mgrid[:24, :20]
    patch = ((7 * y + 13 * x) % 256).astype(np.uint8)
    features = FHOG(24, 20)(patch, np.ones((6, 5), np.float32), np.empty((6, 5, 32), np.float32))
    assert features.sum() == pytest.approx(51.1970, abs=5e-5)
    expected = np.zeros(32)
    expected[[1, 9, 11, 18, 19, 20]] = 0.4, 0.04686, 0.03395, 0.04686, 0.4, 0.03395
    expected[27:31] = 0.05346, 0.05501, 0.05862, 0.05956
    np.testing.assert_allclose(features[2, 2], expected, atol=5e-6)


def test_fhog_does_not_remember():
    rng = np.random.default_rng(1)
    fhog, window = FHOG(33, 41, 4), np.ones((8, 10), np.float32)
    patch, other = rng.integers(0, 256, (2, 33, 41), dtype=np.uint8)
    first = fhog(patch, window, np.empty((8, 10, 32), np.float32))
    fhog(other, window, np.empty((8, 10, 32), np.float32))
    np.testing.assert_array_equal(fhog(patch, window, np.empty((8, 10, 32), np.float32)), first)
    with pytest.raises(ValueError, match="patches of"):
        fhog(patch[:20], window, first)
    with pytest.raises(ValueError, match="2 x 2 cells"):
        FHOG(7, 40)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(3, 45), st.integers(3, 45), st.sampled_from((True, False, None)), st.integers(0, 2**32 - 1)
)
def test_spectra_equal_numpys(rows: int, columns: int, direct: bool | None, seed: int):
    features = np.random.default_rng(seed).random((rows, columns, 32), dtype=np.float32)
    spectrum = Spectrum(rows, columns, direct)
    own = spectrum(features, np.empty(spectrum.shape, np.float32))
    expected = np.fft.fft2(features.astype(np.float64), axes=(0, 1))[: rows // 2 + 1]
    scale = np.abs(expected).max()
    np.testing.assert_allclose(own[:, :, 0] + 1j * own[:, :, 1], expected, rtol=0, atol=1e-6 * scale)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(3, 45), st.integers(3, 45), st.sampled_from((True, False, None)), st.integers(0, 2**32 - 1)
)
def test_maps_equal_numpys_there_and_back(rows: int, columns: int, direct: bool | None, seed: int):
    image = np.random.default_rng(seed).normal(size=(rows, columns)).astype(np.float32)
    maps = Maps(rows, columns, direct)
    own = maps.forward(image, np.empty((2, rows // 2 + 1, columns), np.float32))
    expected = np.fft.fft2(image.astype(np.float64))[: rows // 2 + 1]
    np.testing.assert_allclose(own[0] + 1j * own[1], expected, rtol=0, atol=1e-6 * np.abs(expected).max())
    kept = own.copy()
    np.testing.assert_allclose(maps.backward(own, np.empty_like(image)), image, rtol=0, atol=5e-6)
    np.testing.assert_array_equal(own, kept)


@pytest.mark.parametrize(("rows", "columns"), [(187, 187), (109, 96), (211, 64), (75, 320)])
def test_both_transforms_agree_on_large_grids(rows: int, columns: int):
    features = np.random.default_rng(3).random((rows, columns, 32), dtype=np.float32)
    direct, fast = (Spectrum(rows, columns, choice) for choice in (True, False))
    one, other = (s(features, np.empty(s.shape, np.float32)) for s in (direct, fast))
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-6 * one.max())
    again = fast(features, np.empty_like(other))
    np.testing.assert_array_equal(again, other)
    product, library = (Maps(rows, columns, choice) for choice in (True, False))
    image = features[:, :, 0] - np.float32(0.5)
    one, other = (
        m.forward(image, np.empty((2, rows // 2 + 1, columns), np.float32)) for m in (product, library)
    )
    np.testing.assert_allclose(one, other, rtol=0, atol=2e-6 * np.abs(one).max())
    np.testing.assert_allclose(
        *(m.backward(one, np.empty((rows, columns), np.float32)) for m in (product, library)),
        rtol=0,
        atol=5e-6,
    )


@pytest.mark.parametrize(
    ("rows", "columns", "features", "single"),
    [
        (17, 14, True, True),
        (71, 23, True, True),
        (38, 38, True, True),
        (64, 64, False, False),
        (97, 101, True, False),
        (187, 187, False, False),
        (191, 193, True, False),
        (163, 192, True, False),
        (192, 163, False, False),
        (256, 256, False, False),
    ],
)
def test_the_faster_transform_is_chosen_by_size_alone(rows: int, columns: int, features: bool, single: bool):
    # Each is the one measured to be faster.
    assert direct_is_faster(rows, columns, FEATURES) is features
    assert direct_is_faster(rows, columns, SINGLE) is single


@settings(max_examples=25, deadline=None)
@given(st.integers(3, 40), st.integers(3, 40), st.integers(0, 2**32 - 1))
def test_kernel_correlation_equals_its_definition(rows: int, columns: int, seed: int):
    features = np.random.default_rng(seed).random((2, rows, columns, 32), dtype=np.float32) * np.float32(0.4)
    features[..., 31] = 0
    spectrum, correlation = Spectrum(rows, columns), Correlation(rows, columns, 0.5)
    x, z = (spectrum(f, np.empty(spectrum.shape, np.float32)) for f in features)
    energies = correlation.energy(x) + correlation.energy(z)
    own = correlation.kernel(x, z, energies, np.empty((2, rows // 2 + 1, columns), np.float32))
    X, Z = np.fft.fft2(features.astype(np.float64), axes=(1, 2))
    squares = (features.astype(np.float64) ** 2).sum()
    cross = np.fft.ifft2((X * Z.conj()).sum(axis=-1)).real
    kernel = np.exp(-np.maximum(0, (squares - 2 * cross) / (31 * rows * columns)) / 0.25)
    expected = np.fft.fft2(kernel)[: rows // 2 + 1]
    np.testing.assert_allclose(own[0] + 1j * own[1], expected, rtol=2e-6, atol=2e-5)


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(st.integers(2, 40), st.integers(2, 40)),
    st.tuples(st.integers(1, 50), st.integers(1, 50)),
    st.tuples(st.integers(-90, 90), st.integers(-90, 90)),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_windows_equal_those_of_the_whole_frame(
    image: tuple[int, int], window: tuple[int, int], corner: tuple[int, int], halved: bool, seed: int
):
    frame = np.random.default_rng(seed).integers(0, 256, (*image, 3), dtype=np.uint8)
    grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
    if halved:
        grey = halved_columns(halved_columns(grey).T).T
    rows, columns = (
        np.clip(start + np.arange(size), 0, length - 1)
        for start, size, length in zip(corner, window, grey.shape, strict=True)
    )
    own = Window(*window, halved)(frame, *corner)
    np.testing.assert_array_equal(own, grey[np.ix_(rows, columns)])


def halved_columns(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Halve down the columns with the weights of Matlab's antialiased bicubic resize."""
    weights = np.array([-3, -9, 29, 111, 111, 29, -9, -3])
    centre = 2 * np.arange(-(-len(grey) // 2))
    taps = np.clip(centre[:, None] + np.arange(-3, 5), 0, len(grey) - 1)
    total = np.einsum("t,itx->ix", weights, grey[taps].astype(int))
    return np.clip((total + 128) >> 8, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(("rows", "columns"), [(5, 6), (48, 40)])
def test_the_label_peaks_at_its_corner(rows: int, columns: int):
    values = label(rows, columns, 1.5)
    assert values.shape == (rows, columns)
    assert values[0, 0] == 1 == values.max()
    assert np.count_nonzero(values == 1) == 1
    np.testing.assert_allclose(values[0, [1, -1]], math.exp(-1 / 4.5), rtol=1e-6)


def test_kernels_compile_where_nothing_can_be_written(tmp_path: Path):
    package = Path(teachers.__file__).parent
    for name in ("features", "kcf"):
        shutil.copytree(
            package / name, tmp_path / "teachers" / name, ignore=shutil.ignore_patterns("__pycache__")
        )
        # A file in the folder's place: even root cannot write there.
        (tmp_path / "teachers" / name / "__pycache__").touch()
    for name in ("__init__.py", "base.py", "target.py"):
        shutil.copy(package / name, tmp_path / "teachers" / name)
    code = (
        "import numpy as np; from teachers.kcf import patch; out = np.empty((2, 2), np.uint8);"
        "patch.grey_window(np.full((4, 4, 3), 7, np.uint8), 0, 0, out); print(out.sum(), patch.__file__)"
    )
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": os.devnull,
        "XDG_CACHE_HOME": os.devnull,
        "PYTHONPATH": os.pathsep.join([str(tmp_path), str(package.parent)]),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["28", str(tmp_path / "teachers" / "kcf" / "patch.py")]
