"""Deep ECO: equality with upstream's boxes, its parts by their definitions, bad checkpoints, independence."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import safetensors.torch
import torch
from eco_deep_checkpoint import write_checkpoint
from golden_sequence import golden_state, sequence
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch.nn import functional

from datasets.errors import DataError
from teachers import listing, registry
from teachers.base import BatchTeacher, Task, Teacher, TeacherError
from teachers.eco.deep import EcoDeep
from teachers.eco.deep.ages import CAPACITY
from teachers.eco.deep.augmentation import SHIFTS, augmented, kept_channels
from teachers.eco.deep.bilinear import Samples
from teachers.eco.deep.extractor import Extractor
from teachers.eco.deep.gram import NormalEquations
from teachers.eco.deep.memory import Memory
from teachers.eco.deep.network import TwoNetworks, read
from teachers.eco.deep.part import FORGET
from teachers.eco.deep.patch import patch, square
from teachers.eco.deep.pose import Pose
from teachers.eco.deep.region import SCALES, region
from teachers.eco.deep.tracker import EcoDeepBatch
from teachers.eco.deep.transform import Sampling, Transform
from teachers.eco.fourier import Fourier, label, spline
from teachers.eco.layout import Block
from teachers.eco.target import Target
from teachers.options import TeacherConfigError

Floats = NDArray[np.float32]

GOLDEN = json.loads((Path(__file__).parent / "eco_deep_golden.json").read_text())
FEW = settings(max_examples=15, deadline=None)
SEEDS = st.integers(0, 2**32 - 1)


pytestmark = pytest.mark.usefixtures("one_thread")


FRAMES, BOXES = sequence(20)
TASK = Task("video", 13)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("weights") / "resnet18_vggmconv1.pth")


@pytest.fixture(scope="module")
def teacher(checkpoint: Path) -> EcoDeep:
    return EcoDeep(checkpoint)


# Equality with upstream


def test_boxes_equal_upstreams(checkpoint: Path):
    teacher = EcoDeep(checkpoint, dropout=False, division="true")
    assert isinstance(teacher, Teacher)
    np.testing.assert_array_equal(teacher.start(FRAMES[0], BOXES[0], TASK), BOXES[0])
    boxes, scores = [], []
    for frame in FRAMES[1:]:
        boxes.append(teacher.track(frame))
        scores.append(teacher._model.pose.score)
    # The filter learns in frame 10, so later frames depend on that too.
    np.testing.assert_allclose(boxes, GOLDEN["boxes"][:19], atol=1e-3, rtol=0)
    np.testing.assert_allclose(scores, GOLDEN["scores"][:19], atol=1e-3, rtol=0)


def test_follows_the_target_with_the_published_division_and_dropout(alone: Floats):
    shift = np.abs(alone[:, :2] + alone[:, 2:] / 2 - BOXES[:5, :2] - BOXES[:5, 2:] / 2)
    assert shift.max() < 6


# A function of the video alone


@pytest.fixture(scope="module")
def alone(teacher: EcoDeep) -> Floats:
    """Boxes in five frames of the video "a", which nothing else runs beside."""
    torch.set_num_threads(1)
    start = teacher.start(FRAMES[0], BOXES[0], Task("a", 5))
    return np.array([start, *(teacher.track(frame) for frame in FRAMES[1:5])])


def test_many_videos_at_once_give_the_same_boxes(teacher: EcoDeep, alone: Floats):
    batch = teacher.batch(3)
    assert isinstance(batch, BatchTeacher) and isinstance(batch, EcoDeepBatch)
    with pytest.raises(ValueError, match="no slot 3"):
        batch.start(3, FRAMES[0], BOXES[0], Task("a", 5))
    torch.manual_seed(7)
    # The target of "b" has another side.
    batch.start(0, FRAMES[2], np.array([60, 60, 45, 45], np.float32), Task("b", 5))
    batch.start(2, FRAMES[0], BOXES[0], Task("a", 5))
    found = [batch.step({0: FRAMES[3 + t], 2: FRAMES[1 + t]}) for t in range(2)]
    np.testing.assert_array_equal([boxes[2] for boxes in found], alone[1:3])
    batch.release(0)
    np.testing.assert_array_equal(batch.step({2: FRAMES[3]})[2], alone[3])


def test_dropout_is_drawn_from_the_videos_name_and_the_seed(monkeypatch: pytest.MonkeyPatch):
    drawn = {}
    monkeypatch.setattr(
        "teachers.eco.deep.tracker.Model",
        lambda extractor, start: drawn.update(it=start.generator) or SimpleNamespace(pose=start.pose),
    )
    monkeypatch.setattr("teachers.eco.deep.tracker.read", lambda weights: TwoNetworks())

    def channels(name: str, seed: int) -> Floats:
        drawn.clear()
        EcoDeep(Path("unread"), seed=seed).start(FRAMES[0], BOXES[0], Task(name, 2))
        return kept_channels(96, drawn["it"])

    first = channels("a", 0)
    np.testing.assert_array_equal(channels("a", 0), first)
    assert (channels("b", 0) != first).any() and (channels("a", 1) != first).any()
    assert set(np.unique(first)) == {np.float32(0), np.float32(1.25)}
    many = kept_channels(20_000, np.random.default_rng(0))
    assert (many == 0).mean() == pytest.approx(0.2, abs=0.01)


def test_search_regions_are_cut_as_the_division_asked_for_does(monkeypatch: pytest.MonkeyPatch):
    begun = []
    monkeypatch.setattr(
        "teachers.eco.deep.tracker.Model",
        lambda extractor, start: begun.append(start.pose) or SimpleNamespace(pose=start.pose),
    )
    monkeypatch.setattr("teachers.eco.deep.tracker.read", lambda weights: TwoNetworks())
    # Inside this frame a square of even size is one pixel larger by the true division.
    frame = np.tile(FRAMES[0], (3, 3, 1))
    for options in ({}, {"division": "floor"}, {"division": "true"}):
        EcoDeep(Path("unread"), **options).start(frame, np.array([400, 300, 54, 54], np.float32), TASK)
    assert [pose.squares()[2].shape for pose in begun] == [(240, 240), (240, 240), (241, 241)]


# What it is given


def test_is_listed_with_the_weights_that_it_needs():
    (described,) = listing.describe(["eco-deep"], options=True)
    assert described.state == "needs weights"
    with pytest.raises(TeacherConfigError, match=r"weights .* has to be given.*resnet18_vggmconv1\.pth"):
        registry.create("eco-deep", {})
    with pytest.raises(TeacherConfigError, match=r"resnet18_vggmconv1\.pth"):
        registry.create("eco-deep", {"weights": "nowhere.pth"})


@pytest.mark.parametrize(
    ("box", "problem"),
    [((400, 10, 20, 20), "outside"), ((10, 10, -5, 20), "width"), ((10, 10, 0.5, 20), "too thin")],
)
def test_refuses_targets_that_it_cannot_track(teacher: EcoDeep, box: tuple[float, ...], problem: str):
    with pytest.raises(TeacherError, match=problem):
        teacher.start(FRAMES[0], np.array(box, np.float32), TASK)
    with pytest.raises(TeacherError, match="before start"):
        teacher.track(FRAMES[1])


def test_refuses_images_without_colour(teacher: EcoDeep):
    with pytest.raises(ValueError, match="eco-deep needs colour images"):
        teacher.start(FRAMES[0][..., 0], BOXES[0], TASK)
    with pytest.raises(ValueError, match="eco-deep needs images"):
        teacher.start(None, BOXES[0], TASK)


class Exploit:
    """Unpickled, it would write a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_refuses_a_truncated_checkpoint(checkpoint: Path, tmp_path: Path):
    path = tmp_path / "half.pth"
    path.write_bytes(checkpoint.read_bytes()[: checkpoint.stat().st_size // 2])
    with pytest.raises(DataError, match=r"half\.pth"):
        EcoDeep(path)


def test_refuses_another_networks_checkpoint(tmp_path: Path):
    path = tmp_path / "alexnet.pth"
    torch.save({"features.0.weight": torch.zeros(96, 3, 11, 11)}, path)
    with pytest.raises(DataError, match=r"alexnet\.pth.*missing.*vggmconv1\.weight.*unexpected.*features\.0"):
        EcoDeep(path)


def test_refuses_weights_that_are_not_finite(tmp_path: Path):
    state = golden_state(TwoNetworks())
    state["conv1.weight"][0, 0, 0, 0] = torch.nan
    torch.save(state, tmp_path / "nan.pth")
    with pytest.raises(DataError, match=r"conv1\.weight"):
        EcoDeep(tmp_path / "nan.pth")


def test_refuses_pickled_code(tmp_path: Path):
    path, written = tmp_path / "code.pth", tmp_path / "written"
    path.write_bytes(pickle.dumps(Exploit(written), protocol=2))
    with pytest.raises(DataError, match=r"code\.pth"):
        EcoDeep(path)
    assert not written.exists()


def test_reads_safetensors(tmp_path: Path):
    path = tmp_path / "weights.safetensors"
    safetensors.torch.save_file({k: v.contiguous() for k, v in golden_state(TwoNetworks()).items()}, path)
    loaded = read(path).state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in golden_state(TwoNetworks()).items())


# Its parts by their definitions


@FEW
@given(st.floats(2, 2000), st.floats(2, 2000))
def test_only_two_sides(height: float, width: float):
    shape = region((height, width), (1000, 1000))
    assert shape.side in (208, 240)
    # The region is 4.5 times the target, up to half a step of 32 pixels.
    assert abs(shape.side - 4.5 * (shape.base[0] * shape.base[1]) ** 0.5) <= 16.5


@FEW
@given(st.floats(2, 2000), st.floats(2, 2000))
def test_a_target_is_searched_between_its_limits(height: float, width: float):
    shape = region((height, width), (1000, 900))
    searched = 4.5 * np.sqrt(shape.base[0] * shape.base[1])
    assert searched == pytest.approx(np.clip(4.5 * np.sqrt(height * width), 200, 250))
    np.testing.assert_allclose(np.multiply(shape.base, shape.scale), (height, width))
    # At the smallest scale the shorter side has ten pixels, at the largest one side is the image's.
    assert shape.smallest * min(shape.base) == pytest.approx(10)
    filled = shape.largest * np.divide(shape.base, (1000, 900))
    assert filled.max() == pytest.approx(1)


def test_an_update_trusts_the_last_ones_direction_as_published():
    # The larger learning rate of the two kinds, 75 times.
    assert pytest.approx(0.1497, abs=1e-4) == FORGET


@FEW
@given(st.integers(0, 4), st.integers(-60, 60), st.integers(-60, 60))
def test_a_peak_moves_the_target_from_the_nearest_pixel(number: int, down: int, right: int):
    pose = Pose((480, 640), Target((200.5, 301.25), (60, 44)), "floor")
    side, before = pose.region.side, pose.region.scale
    best, moved = pose.follow(
        0.5, (number * side + right % side) * side + down % side, np.zeros((480, 640, 3))
    )
    scale = before * SCALES[number]
    assert best == number and pose.score == 0.5
    np.testing.assert_allclose(pose.target.centre, (200 + down * scale, 301 + right * scale))
    np.testing.assert_allclose(pose.target.size, np.multiply((60, 44), SCALES[number]))
    # The sample was searched at the new scale around the nearest pixel.
    np.testing.assert_allclose(moved, 2 * np.pi / side * np.array([down, right]), atol=1e-12)


def test_a_target_stays_between_ten_pixels_and_the_image_and_a_fifth_of_it_inside():
    image = np.zeros((240, 320, 3), np.uint8)
    for number, limit in ((0, (10, 20)), (4, (160, 320))):
        pose = Pose((240, 320), Target((120, 160), (50, 100)), "floor")
        peak = number * pose.region.side**2
        for _ in range(100):
            pose.follow(1.0, peak, image)
        np.testing.assert_allclose(pose.target.size, limit)
        # A scale beyond the limit was searched all the same.
        _, moved = pose.follow(1.0, peak + 7, image)
        np.testing.assert_allclose(moved, (2 * np.pi / pose.region.side * 7, 0), atol=1e-12)
    for sign in (1, -1):
        pose = Pose((240, 320), Target((120, 160), (50, 100)), "floor")
        side = pose.region.side
        at = sign * (side // 3) % side
        for _ in range(12):
            _, moved = pose.follow(1.0, (2 * side + at) * side + at, image)
        far = (240 + 15, 320 + 30) if sign > 0 else (-15, -30)
        np.testing.assert_allclose(pose.target.centre, far)
        # The last sample is moved by as much as the target was, which is nothing.
        np.testing.assert_allclose(moved, 0, atol=1e-12)


@pytest.mark.parametrize("division", ["floor", "true"])
@pytest.mark.parametrize(
    ("centre", "size"),
    [
        ((100.4, 99.6), 208),
        ((3, 5), 208),
        ((120, 160), 251.3),
        ((239, 318), 180),
        ((110, 90), 700),
        ((-20, 300), 333),
    ],
)
def test_patches_are_those_of_a_padded_image(centre: tuple[float, float], size: float, division: str):
    image, side = FRAMES[0], 208
    step = max(int(size / side - 0.1), 1)
    at = [int(c) for c in centre]
    offset = [a % step for a in at]
    thinned = (
        torch.from_numpy(image[offset[0] :: step, offset[1] :: step].copy()).permute(2, 0, 1)[None].float()
    )
    middle = [(a - o) // step for a, o in zip(at, offset, strict=True)]
    count = max(round(size / step), 2)
    if division == "floor":
        begin = [m - (count - 1) // 2 for m in middle]
        end = [m + count // 2 + 1 for m in middle]
    else:
        begin = [int(m - (count - 1) / 2) for m in middle]
        end = [int(m + count / 2 + 1) for m in middle]
    around = (-begin[1], end[1] - thinned.shape[3], -begin[0], end[0] - thinned.shape[2])
    expected = functional.interpolate(
        functional.pad(thinned, around, "replicate"), (side, side), mode="bilinear"
    )
    found = patch(image, square(centre, size, side, division), side)
    np.testing.assert_allclose(found, expected[0].permute(1, 2, 0).numpy(), atol=0.01)


def test_augmented_regions_are_what_they_are_called():
    rows, columns = np.mgrid[:41, :41].astype(np.float32)
    image = np.stack([rows, columns, rows * 0 + 5], axis=2)
    found = augmented(image)
    assert len(found) == 23 and all(one.shape == image.shape and one.dtype == np.float32 for one in found)
    np.testing.assert_array_equal(found[0], image)
    for (down, right), one in zip(SHIFTS, found[1:5], strict=True):
        np.testing.assert_array_equal(one[20, 20], image[20 - down, 20 - right])
        assert one.min() >= 0 and one.max() <= 40
    np.testing.assert_array_equal(found[5], image[:, ::-1])
    # Five degrees, counter-clockwise: what was to the right of the middle is now higher.
    np.testing.assert_allclose(found[6][20, 20], image[20, 20], atol=1e-3)
    assert found[6][20, 30, 0] > 20.5 > found[7][20, 30, 0]
    # A blur keeps a plane inside; the last five lose brightness at the border, beyond which there is nothing.
    for one in found[18:]:
        np.testing.assert_allclose(one[20, 20], image[20, 20], rtol=1e-5)
        assert one[0, 0, 2] < 5
    assert found[18][0, 20, 2] < found[18][20, 0, 2] and found[19][0, 20, 2] > found[19][20, 0, 2]


def test_maps_are_those_of_the_plain_networks():
    net = TwoNetworks().eval()
    net.load_state_dict(golden_state(net))
    regions = [np.random.default_rng(i).uniform(0, 255, (48, 48, 3)).astype(np.float32) for i in range(3)]
    with torch.inference_mode():
        x = torch.from_numpy(np.stack(regions)[..., ::-1].copy()).permute(0, 3, 1, 2) / 255
        x = (x - torch.tensor([0.485, 0.456, 0.406])[:, None, None]) / torch.tensor([0.229, 0.224, 0.225])[
            :, None, None
        ]
        shallow = functional.local_response_norm(functional.relu(net.vggmconv1(x)), 5, 5e-4, 0.75, 2)
        deep = functional.max_pool2d(functional.relu(net.bn1(net.conv1(x))), 3, 2, 1)
        expected = (functional.avg_pool2d(shallow, 2), net.layer3(net.layer2(net.layer1(deep))))
        extractor = Extractor(net)
        found = extractor(regions)
        # What a GPU is given.
        one_by_one, together = extractor._one_by_one(regions), extractor._together(regions)
    for one, other in zip(found, expected, strict=True):
        other = other / (other**2).mean(dim=(1, 2, 3), keepdim=True).sqrt()
        np.testing.assert_allclose(one.permute(0, 3, 1, 2), other, atol=2e-4)
    for one, other in zip(together, one_by_one, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-4)


def test_refuses_devices_that_are_not_there(checkpoint: Path):
    with pytest.raises(TeacherConfigError, match="device = 'nowhere'"):
        EcoDeep(checkpoint, device="nowhere")


@pytest.mark.parametrize("cells", [12, 13])
def test_series_are_centred_transforms_of_windowed_maps(cells: int):
    maps = torch.from_numpy(np.random.default_rng(0).standard_normal((2, cells, cells, 3), dtype=np.float32))
    transform = Transform(cells)
    n, m = transform.n, transform.n // 2
    assert n % 2 == 1 and n - cells in (0, 1)
    window = np.hanning(cells + 2)[1:-1]
    plain = np.fft.fft2(maps.numpy() * np.outer(window, window)[:, :, None], axes=(1, 2))
    rows = np.arange(-m, m + 1)
    half = plain[:, rows][:, :, : m + 1]  # for an even map the highest row stands at both ends
    axis = spline(n)
    expected = half.transpose(0, 3, 2, 1).reshape(2, 3, -1) * np.outer(axis[m:], axis).ravel()
    found = transform(maps).numpy()
    np.testing.assert_allclose(found[:, :, 0] + 1j * found[:, :, 1], expected, atol=1e-5)


def test_sampling_evaluates_a_series():
    n, side = 13, 40
    grid = Fourier(n)
    series = grid.shift(2 * np.pi * 7 / side, 2 * np.pi * -3 / side).copy()
    values = Sampling(n, side)(torch.from_numpy(series[None]))[0].numpy()
    # The series of a peak at the origin, moved: its highest place is where the move came from.
    column, row = np.unravel_index(values.argmax(), values.shape)
    assert (row, column) == (side - 7, 3)
    assert values.max() == pytest.approx(n * n, rel=1e-5)
    assert values.sum() == pytest.approx(side * side, rel=1e-3)


def block_of(n: int, channels: int) -> Block:
    return Block(Fourier(n), channels, 0, label(n, n, 1.5))


def as_complex(planes: Floats) -> NDArray[np.complex128]:
    return planes[..., 0, :].astype(float) + 1j * planes[..., 1, :]


@FEW
@given(SEEDS)
def test_the_first_frames_data_term_is_its_definition(seed: int):
    r = np.random.default_rng(seed)
    series = r.standard_normal((4, 5, 2, 11), dtype=np.float32)
    vectors = r.standard_normal((11, 2, 5), dtype=np.float32)
    wanted = r.standard_normal(11, dtype=np.float32)
    x, v = as_complex(series), vectors[:, 0] + 1j * vectors[:, 1]
    response = np.einsum("jdk,kd->jk", x, v)
    samples = Samples(series)
    for found, miss in (
        (samples.curvature(vectors), response),
        (samples.gradient(vectors, wanted), response - wanted),
    ):
        expected = np.einsum("jdk,jk->kd", x.conj(), miss) / 4
        np.testing.assert_allclose(found[:, 0] + 1j * found[:, 1], expected, atol=1e-4)
    axes = r.standard_normal((5, 2), dtype=np.float32)
    np.testing.assert_allclose(
        as_complex(samples.projected(axes)), np.einsum("jdk,dc->jck", x, axes), atol=1e-5
    )


@FEW
@given(SEEDS)
def test_normal_equations_are_sums_over_samples(seed: int):
    r, block = np.random.default_rng(seed), block_of(5, 3)
    first, second, gone = r.standard_normal((3, block.end), dtype=np.float32)
    equations = NormalEquations(block)
    equations.update(0.0, [first, gone], [0.5, 0.5])
    equations.update(0.8, [second, gone], [0.6, -0.4])
    vector = r.standard_normal(block.end, dtype=np.float32)
    x, p = as_complex(np.stack([block.of(first), block.of(second)])), as_complex(block.of(vector))
    weights = np.array([0.4, 0.6])
    out = np.empty_like(vector)
    equations.apply(vector, out)
    expected = np.einsum("j,jck,jdk,dk->ck", weights, x.conj(), x, p)
    np.testing.assert_allclose(as_complex(block.of(out)), expected, atol=1e-4)
    equations.right(out)
    expected = np.einsum("j,jck->ck", weights, x.conj()) * block.label[0]
    np.testing.assert_allclose(as_complex(block.of(out)), expected, atol=1e-4)


def test_the_memory_forgets_the_lightest_and_its_equations_follow():
    r, block, rate = np.random.default_rng(0), block_of(3, 2), 0.025
    first = r.standard_normal((30, block.end), dtype=np.float32)
    memory = Memory(block, rate, first)
    # The same by the plain definition: 200 slots, all of them summed.
    slots = [(sample, 1 / 30) for sample in first] + [(first[0] * 0, 0.0)] * (CAPACITY - 30)
    previous = None
    vector = r.standard_normal(block.end, dtype=np.float32)
    p, out = as_complex(block.of(vector)), np.empty_like(vector)
    for frame in range(1, 261):
        sample = r.standard_normal(block.end, dtype=np.float32)
        memory.add(sample)
        weights = np.array([weight for _, weight in slots])
        place = int(weights.argmin())
        if previous is None:
            weights /= 1 - rate
            weights[place] = rate
        else:
            weights[place] = weights[previous] / (1 - rate)
        weights /= weights.sum()
        slots[place], previous = (sample, 0.0), place
        slots = [(one, weight) for (one, _), weight in zip(slots, weights, strict=True)]
        if frame % 10 == 0:
            x = as_complex(np.stack([block.of(one) for one, _ in slots]))
            expected = np.einsum("j,jck,jdk,dk->ck", weights, x.conj(), x, p)
            memory.equations().apply(vector, out)
            np.testing.assert_allclose(as_complex(block.of(out)), expected, atol=2e-5)
