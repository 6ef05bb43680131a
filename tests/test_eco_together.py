"""Deep ECO for many videos at once: equality with one video at a time, independence, failures, its parts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from eco_deep_checkpoint import write_checkpoint
from golden_sequence import sequence
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch.nn import functional

from teachers.base import BatchTeacher, Task, TeacherError
from teachers.eco.conjugate_gradient import diagonal, energy_of
from teachers.eco.deep import EcoDeep
from teachers.eco.deep import memory as one_memory
from teachers.eco.deep.ages import CAPACITY
from teachers.eco.deep.augmentation import augmented
from teachers.eco.deep.beginning import Beginning, Start, beginnings
from teachers.eco.deep.joint import SHARES
from teachers.eco.deep.network import TwoNetworks
from teachers.eco.deep.patch import patch, square
from teachers.eco.deep.pose import Pose
from teachers.eco.deep.region import KINDS, region
from teachers.eco.deep.together.descent import Momentum, descend
from teachers.eco.deep.together.filters import Filters
from teachers.eco.deep.together.goal import Goal
from teachers.eco.deep.together.joint import Learning
from teachers.eco.deep.together.memory import Memory
from teachers.eco.deep.together.pool import Pool
from teachers.eco.deep.together.resize import resized
from teachers.eco.deep.together.series import Rows, flat, joined, turns, unflat
from teachers.eco.deep.together.tracker import EcoDeepTogether
from teachers.eco.deep.tracker import EcoDeepBatch
from teachers.eco.descent import Descent
from teachers.eco.fourier import Fourier, label
from teachers.eco.layout import Block, laid_out
from teachers.eco.regularisation import Regulariser
from teachers.eco.target import target_of

Floats = NDArray[np.float32]

FEW = settings(max_examples=15, deadline=None)
SEEDS = st.integers(0, 2**32 - 1)
CPU = torch.device("cpu")

FRAMES, BOXES = sequence(26)
OTHER = np.array([60, 60, 45, 45], np.float32)
"""A target whose search region has another side."""

VIDEOS = {"a": (0, BOXES[0]), "b": (2, OTHER), "c": (3, BOXES[3]), "d": (1, OTHER), "e": (5, BOXES[5])}
"""First frame, and the target in it."""


class Patterns:
    """In place of the network: maps of the same sizes from one random convolution, for a thirtieth of the time."""

    device = CPU

    def __init__(self, *_: object) -> None:
        random = torch.Generator().manual_seed(0)
        self._kernels = [torch.randn(k.channels, 3, k.stride, k.stride, generator=random) for k in KINDS]

    def __call__(self, regions):
        x = torch.stack([torch.as_tensor(one) for one in regions]).permute(0, 3, 1, 2) - 128
        maps = [functional.relu(functional.conv2d(x, k, stride=k.shape[2])) for k in self._kernels]
        return tuple(
            (m / m.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()).permute(0, 2, 3, 1).contiguous()
            for m in maps
        )


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def teacher(monkeypatch: pytest.MonkeyPatch) -> EcoDeep:
    """Without the network, and with 7 samples and 2 steps in frame 0 instead of 30 and 10."""
    monkeypatch.setattr("teachers.eco.deep.tracker.read", lambda weights: TwoNetworks())
    monkeypatch.setattr("teachers.eco.deep.tracker.Extractor", Patterns)
    monkeypatch.setattr("teachers.eco.deep.beginning.augmented", lambda one: augmented(one)[:7])
    for module in ("joint", "together.joint"):
        monkeypatch.setattr(f"teachers.eco.deep.{module}.GAUSS_NEWTON_STEPS", 2)
    return EcoDeep(Path("unread"), dropout=False, together=True)


def begin(batch: EcoDeepTogether, slot: int, name: str) -> None:
    first, box = VIDEOS[name]
    np.testing.assert_array_equal(batch.start(slot, FRAMES[first], box, Task(name, 26)), box)


def pose(batch: EcoDeepTogether, slot: int):
    pool, row = batch._places[slot]
    return pool.poses[row]


# Equality with one video at a time


def test_boxes_equal_upstreams(tmp_path: Path):
    golden = json.loads((Path(__file__).parent / "eco_deep_golden.json").read_text())
    checkpoint = write_checkpoint(tmp_path / "resnet18_vggmconv1.pth")
    batch = EcoDeep(checkpoint, dropout=False, division="true", together=True).batch(1)
    assert isinstance(batch, BatchTeacher)
    begin(batch, 0, "a")
    boxes, scores = [], []
    for frame in FRAMES[1:13]:
        boxes.append(batch.step({0: frame})[0])
        scores.append(pose(batch, 0).score)
    np.testing.assert_allclose(boxes, golden["boxes"][:12], atol=1e-3, rtol=0)
    np.testing.assert_allclose(scores, golden["scores"][:12], atol=1e-3, rtol=0)


def test_slots_that_come_and_go_give_the_boxes_of_one_video_at_a_time(
    teacher: EcoDeep, monkeypatch: pytest.MonkeyPatch
):
    """Three slots for five videos of both sides; the first and the last learn twice, each at its own time."""
    # So that one side's videos need a second pool.
    monkeypatch.setattr("teachers.eco.deep.together.tracker.MOST", 2)
    length = {"a": 21, "b": 4, "c": 12, "d": 3, "e": 21}
    batch = teacher.batch(3)
    assert isinstance(batch, EcoDeepTogether)
    with pytest.raises(ValueError, match="no slot 3"):
        begin(batch, 3, "a")
    waiting, busy, pools = list(length), {}, 0
    found = {name: [] for name in length}
    while waiting or busy:
        for slot in range(3):
            if slot not in busy and waiting:
                busy[slot] = waiting.pop(0)
                begin(batch, slot, busy[slot])
        pools = max(pools, [pool.side for pool in batch._pools].count(240))
        images = {s: FRAMES[VIDEOS[name][0] + len(found[name]) + 1] for s, name in busy.items()}
        # The answers' order is nobody's business.
        for slot, box in batch.step(dict(reversed(images.items()))).items():
            found[busy[slot]].append((*box, pose(batch, slot).score))
        for slot, name in list(busy.items()):
            if len(found[name]) == length[name] - 1:
                batch.release(slot)
                del busy[slot]
    assert pools == 2 and not batch._pools
    for name, (first, box) in VIDEOS.items():
        teacher.start(FRAMES[first], box, Task(name, 26))
        expected = [
            (*teacher.track(frame), teacher._model.pose.score)
            for frame in FRAMES[first + 1 : first + length[name]]
        ]
        np.testing.assert_allclose(found[name], expected, atol=1e-4, rtol=0)


def test_a_slots_boxes_do_not_depend_on_its_neighbours(teacher: EcoDeep):
    """To the last bit on most CPUs; kernels chosen for another number of videos may round otherwise."""
    runs = []
    for company in ("a", "bac", "dbaec"):
        batch = teacher.batch(len(company))
        for slot, name in enumerate(company):
            begin(batch, slot, name)
        slot, run = company.index("a"), []
        for t in range(1, 12):
            images = {s: FRAMES[VIDEOS[name][0] + t] for s, name in enumerate(company)}
            run.append((*batch.step(images)[slot], pose(batch, slot).score))
        runs.append(run)
    np.testing.assert_allclose(runs[1:], [runs[0]] * 2, atol=1e-3, rtol=0)


def test_a_slot_that_fails_does_so_alone_and_can_be_filled_again(teacher: EcoDeep):
    both, single = teacher.batch(2), teacher.batch(1)
    begin(both, 0, "a")
    begin(both, 1, "c")
    begin(single, 0, "c")
    pool, row = both._places[0]
    with torch.inference_mode():
        for own in pool._filters:
            own._filters[row] = torch.nan
            own._memory._samples[row] = torch.nan
    for t in (4, 5):
        answers = both.step({0: FRAMES[t], 1: FRAMES[t]})
        assert isinstance(answers[0], TeacherError) and "no finite response" in str(answers[0])
        np.testing.assert_allclose(answers[1], single.step({0: FRAMES[t]})[0], atol=1e-4)
    both.release(0)
    single.release(0)
    begin(both, 0, "a")
    begin(single, 0, "a")
    for t in range(1, 12):
        np.testing.assert_allclose(
            both.step({0: FRAMES[t]})[0], single.step({0: FRAMES[t]})[0], atol=1e-4, rtol=0
        )


def test_a_slots_energy_is_that_of_its_own_samples(teacher: EcoDeep):
    found = []
    for company in ("ca", "a"):
        batch = teacher.batch(len(company))
        for slot, name in enumerate(company):
            begin(batch, slot, name)
        slot = company.index("a")
        # As if it had come nine frames before its neighbour: it learns alone.
        pose(batch, slot)._frame = 9
        batch.step({s: FRAMES[VIDEOS[name][0] + 1] for s, name in enumerate(company)})
        pool, row = batch._places[slot]
        found.append([own._energy[row] for own in pool._filters])
    for own, expected in zip(*found, strict=True):
        np.testing.assert_allclose(own, expected, atol=1e-5 * expected.max(), rtol=0)


def test_an_error_of_the_devices_memory_gets_through(teacher: EcoDeep, monkeypatch: pytest.MonkeyPatch):
    def fail(*_: object):
        raise torch.OutOfMemoryError("no memory")

    batch = teacher.batch(2)
    begin(batch, 0, "a")
    monkeypatch.setattr(Pool, "start", fail)
    with pytest.raises(torch.OutOfMemoryError):
        begin(batch, 1, "c")
    monkeypatch.setattr(Patterns, "__call__", fail)
    with pytest.raises(torch.OutOfMemoryError):
        batch.step({0: FRAMES[1]})


def test_a_cpu_steps_one_after_the_other_unless_told_otherwise(teacher: EcoDeep):
    assert isinstance(EcoDeep(Path("unread")).batch(2), EcoDeepBatch)
    with pytest.raises(ValueError, match="slots = 0"):
        teacher.batch(0)
    # Pools hold as many as there are slots, then sixteen.
    batch = teacher.batch(2)
    begin(batch, 0, "a")
    begin(batch, 1, "b")
    assert [(pool.side, pool.free) for pool in batch._pools] == [(240, 1), (208, 1)]


class Elsewhere:
    """Maps on PyTorch's device without memory, where an operation that also takes a tensor of the host is an error."""

    device = torch.device("meta")

    def __call__(self, regions):
        count, side = len(regions), regions[0].shape[0]
        cells = [side // kind.stride for kind in KINDS]
        return tuple(
            torch.empty(count, n, n, k.channels, device="meta") for n, k in zip(cells, KINDS, strict=True)
        )


def test_all_that_is_done_per_frame_is_done_on_the_device(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        Beginning, "axes", lambda self, kept: np.zeros((self.maps.shape[3], kept), np.float32)
    )
    for steps in ("GAUSS_NEWTON_STEPS", "GRADIENT_STEPS"):
        monkeypatch.setattr(f"teachers.eco.deep.together.joint.{steps}", 1)
    pool = Pool(Elsewhere(), 240, 3, Learning())
    for row in (2, 0):
        pose = Pose(FRAMES[0].shape[:2], target_of(FRAMES[0], BOXES[0], Task("a", 2), "eco-deep"), "floor")
        pool.start(row, Start(FRAMES[0], pose, np.random.default_rng(0)))
    for rows in ((0, 2), (2, 0), (2,)):
        search = pool.search(dict.fromkeys(rows, FRAMES[1]))
        assert search.peaks.shape == (len(rows), 2) and search.peaks.is_meta
        pool._learn(search, [(number, number, (0.1, -0.1)) for number in range(len(rows))])


# Its parts, beside those for one video


def test_the_first_samples_are_moved_back_and_the_last_ones_lack_channels():
    target = target_of(FRAMES[0], BOXES[0], Task("a", 2), "eco-deep")
    pose = Pose(FRAMES[0].shape[:2], target, "floor")
    found = beginnings(Patterns(), Start(FRAMES[0], pose, np.random.default_rng(0)))
    # The target's centre is (111.5, 113.5); what is even is nearest.
    off = np.array([-0.5, -0.5]) / pose.region.scale
    shifts = np.zeros((30, 2))
    shifts[1:5] = (6, 6), (-6, 6), (6, -6), (-6, -6)
    for kind, own in zip(KINDS, found, strict=True):
        np.testing.assert_allclose(own.moves, 2 * np.pi / pose.region.side * (shifts + off), atol=1e-12)
        assert len(own.maps) == 30
        for dropped in own.maps[23:]:
            kept = dropped.flatten(0, 1).any(dim=0)
            assert 0.6 < kept.float().mean() < 1 and len(kept) == kind.channels
            np.testing.assert_allclose(dropped, own.maps[0] * kept * 1.25, rtol=1e-6)
        # Each of them lacks others.
        assert len({tuple(m.flatten(0, 1).any(dim=0).tolist()) for m in own.maps[23:]}) == 7


@FEW
@given(st.floats(-50, 300), st.floats(-50, 400), st.floats(20, 900), st.sampled_from(["floor", "true"]))
def test_resized_squares_are_patches(row: float, column: float, size: float, division: str):
    # The last one begins to be read from every second pixel, perhaps alone.
    squares = [square((row, column), s, 208, division) for s in (size, 0.98 * size, 208, 1.02 * size)]
    images = [FRAMES[0], FRAMES[1][:50]]
    found = resized(images, [squares, squares[::-1]], 208, CPU)
    expected = [
        patch(image, s, 208) for image, own in ((images[0], 1), (images[1], -1)) for s in squares[::own]
    ]
    np.testing.assert_allclose(found, expected, atol=0.01)


def series_of(random: np.random.Generator, count: int, n: int, channels: int) -> tuple[Floats, torch.Tensor]:
    planes = random.standard_normal((count, channels, 2, n * (n // 2 + 1)), dtype=np.float32)
    return planes, joined(torch.from_numpy(planes)).contiguous()


@FEW
@given(SEEDS)
def test_moves_and_vectors_are_those_of_the_planes(seed: int):
    random = np.random.default_rng(seed)
    n, moves = 7, random.uniform(-3, 3, (2, 2))
    expected = np.stack([Fourier(n).shift(*move) for move in moves])
    found = turns([tuple(move) for move in moves], n, CPU)[:, :, 0].numpy()
    np.testing.assert_allclose(found, expected[:, 0] + 1j * expected[:, 1], atol=5e-6)
    _, series = series_of(random, 2, n, 3)
    assert torch.equal(unflat(flat(series), series.shape[1]), series)


@FEW
@given(st.floats(2, 1000), st.floats(2, 1000), SEEDS)
def test_the_goal_is_label_regulariser_and_preconditioner(height: float, width: float, seed: int):
    random = np.random.default_rng(seed)
    shape = region((height, width), (1000, 1000))
    for kind, n in ((KINDS[0], 33), (KINDS[1], 15)):
        goal = Goal.empty(kind, n, 2, CPU)
        goal.put(1, kind, shape)
        goal = goal.at(slice(1, 2))
        block = Block(Fourier(n), kind.kept, 0, kind.label(shape, n))
        layout = laid_out(block)
        regulariser = Regulariser(kind.window(shape), layout)
        np.testing.assert_array_equal(goal.labels[0], block.label[0])
        planes, series = series_of(random, 1, n, kind.kept)
        for whole in (True, False):
            expected = np.zeros(layout.size, np.float32)
            regulariser.add(planes.ravel(), expected, whole)
            found = goal.regularised(series, whole)
            expected = joined(torch.from_numpy(expected.reshape(planes.shape)))
            np.testing.assert_allclose(found, expected, atol=1e-5 * expected.abs().max())
        expected = diagonal(energy_of(planes.ravel(), layout), layout, regulariser, SHARES)
        found = joined(torch.from_numpy(expected.reshape(planes.shape))).contiguous()
        np.testing.assert_allclose(goal.inverse(series.abs().square()), flat(found), rtol=1e-4)


@FEW
@given(SEEDS)
def test_descents_are_those_of_one_problem(seed: int):
    random = np.random.default_rng(seed)
    count, size, steps, forget = 3, 9, 4, 0.5
    half = random.standard_normal((count, size, size)).astype(np.float32)
    weights = random.choice([1, 2], size).astype(np.float32)
    # Self-adjoint in the weighted inner product; the last problem is not positive, and ends early.
    matrices = (half @ half.transpose(0, 2, 1) + np.eye(size, dtype=np.float32)) / weights[:, None]
    matrices[2] *= -1
    right = random.standard_normal((count, size)).astype(np.float32)
    right[1] = 0
    inverse = random.uniform(0.5, 2, (count, size)).astype(np.float32)

    def product(p: torch.Tensor) -> torch.Tensor:
        return torch.einsum("nij,nj->ni", torch.from_numpy(matrices), p)

    for kept in (None, forget):
        one_by_one = [Descent(weights, steps, kept) for _ in range(count)]
        x = torch.zeros(count, size)
        zeros = Momentum(torch.zeros(count, size), torch.zeros(count, size), torch.zeros(count).double())
        momentum = None if kept is None else zeros
        expected = np.zeros((count, size), np.float32)
        for _ in range(1 if kept is None else 3):
            residual = torch.from_numpy(right) - product(x)
            x, new = descend(
                x,
                residual,
                product,
                torch.from_numpy(inverse),
                torch.from_numpy(weights),
                steps,
                momentum,
                kept or 1.0,
            )
            momentum = None if kept is None else new
            for i, descent in enumerate(one_by_one):
                r = right[i] - matrices[i] @ expected[i]
                descent.take(
                    expected[i], r, lambda p, out, i=i: np.matmul(matrices[i], p, out=out), inverse[i]
                )
        np.testing.assert_allclose(x, expected, atol=1e-3, rtol=1e-3)


def test_a_row_keeps_nothing_of_the_video_before():
    kind, shape, rows = KINDS[1], region((50, 50), (240, 320)), Rows([0], CPU)
    filters = Filters(kind, shape.side, 1, CPU, Learning())
    cells = shape.side // kind.stride
    maps = np.random.default_rng(0).standard_normal((4, cells, cells, kind.channels), dtype=np.float32)
    first, later = torch.from_numpy(maps).split([2, 2])
    found = []
    for _ in range(2):
        filters.start(0, shape, Beginning(first, [(0, 0)] * 2))
        for one in later.split(1):
            latest = filters.remember(rows, filters.samples(rows, one)[:, 0], [(0.1, -0.2)])
            filters.learn(rows, latest)
        found.append(filters._filters.clone())
    np.testing.assert_allclose(*found, atol=1e-6 * found[0].abs().max())


def test_memories_are_those_of_one_video():
    random = np.random.default_rng(0)
    n, channels, rate = 3, 2, 0.025
    block = Block(Fourier(n), channels, 0, label(n, n, 1.5))
    memory = Memory(2, block.fourier.coefficients, channels, rate, CPU)
    single = {}
    for row in (1, 0):  # each has had another video before
        for count in (30, 23):
            planes, first = series_of(random, count, n, channels)
            memory.start(row, first)
            single[row] = one_memory.Memory(block, rate, planes.reshape(count, -1))
    assert CAPACITY < 260
    for frame in range(1, 261):
        # Now and then, one of them alone.
        numbers = [1] if frame % 7 == 0 else [0, 1] if frame % 2 else [1, 0]
        planes, samples = series_of(random, len(numbers), n, channels)
        memory.add(Rows(numbers, CPU), samples)
        for row, sample in zip(numbers, planes, strict=True):
            single[row].add(sample.ravel())
        if frame % 20 == 0:
            vector, series = series_of(random, 1, n, channels)
            out = np.empty(block.end, np.float32)
            for row in (0, 1):
                equations = single[row].equations()
                equations.apply(vector.ravel(), out)
                expected = joined(torch.from_numpy(out.reshape(vector.shape)))[0]
                found = torch.einsum("kcd,kd->kc", memory.matrix[row], series[0])
                np.testing.assert_allclose(found, expected, atol=2e-5)
                equations.right(out)
                expected = joined(torch.from_numpy(out.reshape(vector.shape)))[0]
                found = torch.from_numpy(block.label[0])[:, None] * memory.right[row]
                np.testing.assert_allclose(found, expected, atol=2e-5)
