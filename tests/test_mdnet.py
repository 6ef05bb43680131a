"""MDNet: its parts against definitions and closed forms, its boxes against those of the authors' code."""

from __future__ import annotations

import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from datasets.boxes import centres, is_valid, overlap
from datasets.errors import DataError
from teachers.base import BatchTeacher, Task, Teacher, TeacherError
from teachers.mdnet import Mdnet, MdnetBatch, classifier, regression
from teachers.mdnet.crop import as_input, crop, crop_on_device, padded
from teachers.mdnet.extractor import Extractor, Request
from teachers.mdnet.memory import Memory, Rows
from teachers.mdnet.network import Network, Widths, load_network
from teachers.mdnet.normalised_pool import by_operators, normalised_pool
from teachers.mdnet.sampling import Sampler, Spread
from teachers.mdnet.training import Examples, train

SLIM = Widths(6, 8, 10, 64, 48)
TARGET = np.array([90, 80, 48, 64], np.float32)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Other tests run beside these."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def weighted(widths: Widths, gain: float = 0.2) -> Network:
    """A network with random but fixed weights."""
    network = Network(widths)
    generator = torch.Generator().manual_seed(7)
    for parameter in network.parameters():
        fan_in = parameter[0].numel() if parameter.ndim > 1 else 1e4
        nn.init.normal_(parameter.detach(), 0, (2 / fan_in) ** 0.5, generator=generator)
    network.conv1[0].weight.detach().mul_(gain)
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def slim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mdnet") / "slim.pth"
    torch.save({"shared_layers": weighted(SLIM).state_dict()}, path)
    return path


def video(seed: int, length: int, size: tuple[int, int] = (320, 240)) -> list[np.ndarray]:
    """A textured square that moves over a textured background."""
    r = np.random.default_rng(seed)
    w, h = size
    ground = cv2.resize(r.integers(0, 256, (h // 8, w // 8, 3), dtype=np.uint8), size)
    target = cv2.resize(
        r.integers(0, 256, (8, 6, 3), dtype=np.uint8), (48, 64), interpolation=cv2.INTER_NEAREST
    )
    frames = []
    for t in range(length):
        frame = ground.copy()
        frame[80 + t : 144 + t, 90 + 3 * t : 138 + 3 * t] = target
        frames.append(frame)
    return frames


def followed(teacher: Teacher, frames: list[np.ndarray], name: str = "v") -> np.ndarray:
    first = teacher.start(frames[0], TARGET, Task(name, len(frames)))
    return np.stack([first, *(teacher.track(f) for f in frames[1:])])


# --- network -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("shape", [(5, 96, 51, 51), (3, 256, 11, 11), (1, 7, 3, 4)])
def test_normalised_pool_is_relu_then_lrn_then_pool(shape, threads):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 200
    wanted = functional.max_pool2d(
        functional.local_response_norm(functional.relu(x), 2, 1e-4, 0.75, 1.0), 3, 2
    )
    torch.set_num_threads(threads)
    try:
        found = normalised_pool(x)
    finally:
        torch.set_num_threads(1)
    torch.testing.assert_close(found, wanted, rtol=2e-6, atol=1e-5)
    torch.testing.assert_close(by_operators(x), wanted, rtol=2e-6, atol=1e-5)


def test_features_of_the_published_widths():
    network = weighted(Widths())
    assert {k: tuple(v.shape) for k, v in network.state_dict().items() if "weight" in k} == {
        "conv1.0.weight": (96, 3, 7, 7),
        "conv2.0.weight": (256, 96, 5, 5),
        "conv3.0.weight": (512, 256, 3, 3),
        "fc4.0.weight": (512, 4608),
        "fc5.1.weight": (512, 512),
    }
    x = torch.randn(2, 3, 107, 107, generator=torch.Generator().manual_seed(0)) * 50
    y = x
    for layer in (network.conv1, network.conv2):
        y = functional.local_response_norm(functional.relu(layer(y)), 2, 1e-4, 0.75, 1.0)
        y = functional.max_pool2d(y, 3, 2)
    wanted = functional.relu(network.conv3(y)).flatten(1)
    torch.testing.assert_close(network.features(x), wanted, rtol=1e-4, atol=1e-4 * float(wanted.max()))


def test_checkpoints_of_any_width_are_loaded(slim, tmp_path):
    assert load_network(slim).widths == SLIM
    bare = tmp_path / "bare.pth"
    torch.save(weighted(SLIM).state_dict(), bare)
    torch.testing.assert_close(
        load_network(bare).state_dict()["fc4.0.weight"], load_network(slim).state_dict()["fc4.0.weight"]
    )


def _truncated(state: dict[str, Tensor], path: Path) -> str:
    torch.save({"shared_layers": state}, path)
    path.write_bytes(path.read_bytes()[:-2000])
    return "truncated, damaged"


def _missing(state: dict[str, Tensor], path: Path) -> str:
    torch.save({"shared_layers": {k: v for k, v in state.items() if k != "conv2.0.bias"}}, path)
    return r"1 missing: conv2\.0\.bias"


def _misshapen(state: dict[str, Tensor], path: Path) -> str:
    torch.save({"shared_layers": {**state, "conv3.0.weight": torch.zeros(10, 8, 5, 5)}}, path)
    return r"conv3\.0\.weight \(10x8x5x5 instead of 10x8x3x3\)"


def _foreign(_: dict[str, Tensor], path: Path) -> str:
    torch.save({"backbone.weight": torch.zeros(3)}, path)
    return "10 missing"


def _pickled(_: dict[str, Tensor], path: Path) -> str:
    torch.save({"shared_layers": Task("x", 1)}, path)
    return "pickled code"


@pytest.mark.parametrize("spoil", [_truncated, _missing, _misshapen, _foreign, _pickled])
def test_bad_checkpoints_are_refused_with_the_reason(spoil, tmp_path):
    path = tmp_path / "bad.pth"
    message = spoil(weighted(SLIM).state_dict(), path)
    with pytest.raises(DataError, match=message):
        Mdnet(path)


# --- crops ---------------------------------------------------------------------------------------------------


def test_crop_adds_a_little_context_on_each_side():
    image = np.zeros((400, 400, 3), np.uint8)
    image[100:207, 150:257] = 255  # the box, of 107 x 107: the patch shows 139 x 139 in 107 x 107
    patch = crop(image, np.array([[150, 100, 107, 107]], np.float32))[0, ..., 0]
    for line in (patch.max(axis=0), patch.max(axis=1)):
        shown = np.flatnonzero(line > 127)
        assert len(shown) == pytest.approx(107 * 107 / 139, abs=1)
        assert abs(shown[0] - 16 * 107 / 139) < 1


def test_outside_the_image_only_red_is_grey():
    patch = crop(np.full((60, 60, 3), 200, np.uint8), np.array([[-40, -40, 50, 50]], np.float32))[0]
    assert patch[0, 0].tolist() == [128, 0, 0]
    assert patch[-1, -1].tolist() == [200, 200, 200]


@given(
    st.tuples(st.floats(-60, 200), st.floats(-60, 150), st.floats(10, 150), st.floats(10, 150)),
    st.integers(0, 99),
)
@settings(max_examples=25, deadline=None)
def test_crops_on_a_device_are_those_of_the_cpu(box, seed):
    rng = np.random.default_rng(seed)
    images = [rng.integers(0, 256, (100, 140, 3), np.uint8), rng.integers(0, 256, (90, 200, 3), np.uint8)]
    boxes, owner = np.array([box, box, TARGET], np.float32), np.array([0, 1, 1])
    found = crop_on_device([padded(image, torch.device("cpu")) for image in images], owner, boxes)
    rgb = [np.ascontiguousarray(image[..., ::-1]) for image in images]
    wanted = torch.cat([as_input(crop(rgb[i], boxes[owner == i])) for i in (0, 1)])
    assert found.shape == wanted.shape == (3, 3, 107, 107)
    assert float((found - wanted).abs().max()) <= 1.0
    assert float((found != wanted).float().mean()) < 0.01


# --- sampling ------------------------------------------------------------------------------------------------

SIZES = st.tuples(st.integers(60, 640), st.integers(60, 480))
BOXES = st.tuples(st.floats(-20, 600), st.floats(-20, 400), st.floats(5, 300), st.floats(5, 300))


@given(SIZES, BOXES, st.integers(0, 2**32 - 1), st.sampled_from(["gaussian", "uniform", "whole"]))
@settings(max_examples=60, deadline=None)
def test_samples_stay_in_the_image(size, box, seed, kind):
    sampler = Sampler(np.random.RandomState(seed), size)
    target = np.array(box, np.float32)
    spread = Spread(1.0, 1.6, 1.1)
    samples = sampler.whole(target, 50) if kind == "whole" else getattr(sampler, kind)(target, 50, spread)
    assert samples.shape == (50, 4)
    assert samples.dtype == np.float32
    assert is_valid(samples).all()
    assert (samples[:, 2:] >= 10).all()
    assert (samples[:, 2:] <= np.array(size) - 10).all()
    middle = centres(samples)
    assert (middle >= -1e-3).all()
    assert (middle <= np.array(size) + 1e-3).all()


@given(BOXES, st.integers(0, 2**32 - 1), st.sampled_from([(0.0, 0.3), (0.0, 0.5), (0.6, 1.0), (0.7, 1.0)]))
@settings(max_examples=60, deadline=None)
def test_samples_within_a_range_of_overlap(box, seed, overlaps):
    sampler = Sampler(np.random.RandomState(seed), (640, 480))
    target = np.array(box, np.float32)
    samples = sampler.uniform_within(target, 40, Spread(1.0, 1.6), overlaps)
    assert len(samples) <= 40
    iou = overlap(samples, target)
    assert ((iou >= overlaps[0]) & (iou <= overlaps[1])).all()


def test_samples_follow_their_distribution():
    sampler = Sampler(np.random.RandomState(1), (640, 480))
    target = np.array([300, 200, 40, 60], np.float32)
    samples = sampler.gaussian(target, 20000, Spread(0.6, 1.05))
    shift = (centres(samples) - [320, 230]) / 50
    assert np.abs(shift).max() <= 0.6 + 1e-5
    assert shift.std() == pytest.approx(0.6 * 0.5 * 0.8796**0.5 / 1, rel=0.08)
    assert np.log(samples[:, 2] / 40).min() >= -np.log(1.05) - 1e-5
    np.testing.assert_allclose(samples[:, 3] / samples[:, 2], 1.5, rtol=1e-5)


# --- regression ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rows", "columns"), [(30, 200), (200, 30)])
def test_ridge_is_the_closed_form(rows, columns):
    r = np.random.default_rng(0)
    x, y = r.normal(2, 3, (rows, columns)), r.normal(1, 1, (rows, 4))
    weight, intercept = regression.ridge(torch.from_numpy(x).float(), torch.from_numpy(y).float(), 10.0)
    xc, yc = x - x.mean(0), y - y.mean(0)
    primal = np.linalg.solve(xc.T @ xc + 10.0 * np.eye(columns), xc.T @ yc)
    np.testing.assert_allclose(weight.numpy(), primal, atol=2e-5)
    np.testing.assert_allclose(intercept.numpy(), y.mean(0) - x.mean(0) @ primal, atol=2e-4)


def test_a_regressor_undoes_the_shift_that_it_was_taught():
    sampler = Sampler(np.random.RandomState(0), (320, 240))
    boxes = regression.suitable(sampler.uniform(TARGET, 2000, Spread(0.3, 1.6, 1.1)), TARGET)
    area = boxes[:, 2] * boxes[:, 3] / (TARGET[2] * TARGET[3])
    assert len(boxes) > 100
    assert overlap(boxes, TARGET).min() >= 0.6
    assert area.min() >= 1
    assert area.max() <= 2
    size = boxes[:, 2:]
    shift = np.concatenate([(centres(TARGET) - centres(boxes)) / size, np.log(TARGET[2:] / size)], axis=1)
    features = torch.from_numpy(100 * shift.astype(np.float32))
    regressor = regression.fit(features, boxes, TARGET)
    (shift,) = regression.corrections([regressor], [features])
    refined = regression.refined(boxes, shift, (320, 240))
    np.testing.assert_allclose(refined, np.tile(TARGET, (len(boxes), 1)), atol=2.0)


def test_refined_boxes_are_cut_at_the_image():
    still = regression.Regressor(torch.zeros(3, 4), torch.tensor([-1.0, 0.0, 0.0, 1.0]))
    boxes = np.array([[10, 20, 40, 50]], np.float32)
    # A whole width to the left is cut at 0; e times the height, at what is left below the box's own top.
    (shift,) = regression.corrections([still], [torch.zeros(1, 3)])
    assert regression.refined(boxes, shift, (100, 120))[0] == pytest.approx([0, 0, 40, 100])


# --- memory --------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 3), min_size=1, max_size=20), st.integers(1, 6))
def test_memory_keeps_the_last_entries_in_order(counts, last):
    memory = Memory(4, 3, 5, 2, torch.device("cpu"))
    entries = []
    for k, count in enumerate(counts):
        entry = torch.arange(count * 2, dtype=torch.float32).view(count, 2) + 100 * k
        entries.append(entry)
        memory.add(entry)
    for kept, rows in ((entries[-5:], memory.rows()), (entries[-5:][-last:], memory.rows(last))):
        wanted = torch.cat(kept)
        assert len(rows) == len(wanted)
        assert torch.equal(rows.take(torch.arange(len(rows))), wanted)


def test_memory_refuses_more_than_it_reserved():
    memory = Memory(4, 3, 5, 2, torch.device("cpu"))
    memory.add(torch.zeros(4, 2))
    with pytest.raises(ValueError, match="4 features in an entry of at most 3"):
        memory.add(torch.zeros(4, 2))


# --- training ------------------------------------------------------------------------------------------------


class Plain(nn.Module):
    """The classifier as PyTorch's modules, in the order in which the authors' code draws them."""

    def __init__(self, widths: Widths) -> None:
        super().__init__()
        nn.Conv2d(3, widths.conv1, 7), nn.Conv2d(widths.conv1, widths.conv2, 5)
        nn.Conv2d(widths.conv2, widths.conv3, 3)
        self.fc4 = nn.Linear(widths.feature, widths.fc4)
        self.fc5 = nn.Linear(widths.fc4, widths.fc5)
        self.fc6 = nn.Linear(widths.fc5, 2)
        for layer in (self.fc4, self.fc5, self.fc6):
            nn.init.normal_(layer.weight, 0, 0.01)
        nn.init.zeros_(self.fc6.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.fc4(x))
        x = functional.relu(self.fc5(functional.dropout(x, 0.5, self.training)))
        return self.fc6(functional.dropout(x, 0.5, self.training))


@pytest.mark.parametrize(("negatives", "scale"), [(3000, 1.0), (300, 1.0), (1500, 3000.0)])
def test_training_is_that_of_autograd_and_torch_sgd(negatives, scale):
    """With every random draw; the largest scale makes the gradient so long that it is cut."""
    torch.manual_seed(0)
    plain = Plain(SLIM)
    network = Network.__new__(Network)
    state = torch.get_rng_state()
    Network.__init__(network, SLIM)
    for own, other in ((network.fc4[0], plain.fc4), (network.fc5[1], plain.fc5)):
        own.load_state_dict(other.state_dict())
    generator = torch.Generator().manual_seed(0)
    layers = classifier.initial(network, generator)
    layers = classifier.Layers(*(t.clone() for t in layers.tensors()))
    assert torch.equal(layers.w6[0], plain.fc6.weight)
    assert torch.equal(generator.get_state(), state)

    data = torch.Generator().manual_seed(5)
    pos = scale * torch.rand(100, SLIM.feature, generator=data)
    neg = scale * (torch.rand(negatives, SLIM.feature, generator=data) - 0.02)
    count = (
        8 if scale == 1 else 2
    )  # with weights that large, rounding soon turns into another choice of negatives
    rng = np.random.RandomState(3)
    train(layers, layers.zeros(), [Examples(Rows.all_of(pos), Rows.all_of(neg), rng, generator)], count, 1e-3)

    torch.set_rng_state(state)
    rng = np.random.RandomState(3)
    order = [rng.permutation(100)], [rng.permutation(negatives)]
    for part, wanted in zip(order, (count * 32, count * 1024), strict=True):
        while sum(map(len, part)) < wanted:
            part.append(rng.permutation(len(part[0])))
    pos_order, neg_order = (np.concatenate(part) for part in order)
    others = [*plain.fc4.parameters(), *plain.fc5.parameters()]
    sgd = torch.optim.SGD(
        [{"params": others}, {"params": plain.fc6.parameters(), "lr": 1e-2}],
        lr=1e-3,
        momentum=0.9,
        weight_decay=5e-4,
    )
    norms = []
    for i in range(count):
        candidates = neg[neg_order[i * 1024 : (i + 1) * 1024]]
        with torch.no_grad():
            hard = plain.eval()(candidates)[:, 1].topk(96).indices
        plain.train()
        to_target = functional.log_softmax(plain(pos[pos_order[i * 32 : (i + 1) * 32]]), 1)[:, 1]
        to_background = functional.log_softmax(plain(candidates[hard]), 1)[:, 0]
        sgd.zero_grad()
        (-(to_target.sum() + to_background.sum()) / 128).backward()
        norms.append(float(nn.utils.clip_grad_norm_(plain.parameters(), 10)))
        sgd.step()
    assert (norms[0] > 10) == (scale > 1)
    wanted = (plain.fc4, plain.fc5, plain.fc6)
    for own, other in zip(
        layers.tensors(), (p for layer in wanted for p in (layer.weight, layer.bias)), strict=True
    ):
        torch.testing.assert_close(own[0], other.detach(), rtol=1e-4, atol=1e-5)


def test_videos_trained_in_lockstep_are_trained_as_if_alone():
    network = weighted(SLIM)
    start = classifier.initial(network, torch.Generator().manual_seed(0))
    data = torch.Generator().manual_seed(5)
    sets = [
        (torch.rand(60, SLIM.feature, generator=data), torch.rand(n, SLIM.feature, generator=data) - 0.05)
        for n in (200, 700, 90)
    ]

    def examples(k: int) -> Examples:
        pos, neg = (Rows.all_of(x) for x in sets[k])
        return Examples(pos, neg, np.random.RandomState(k), torch.Generator().manual_seed(k))

    def copies(n: int) -> classifier.Layers:
        return classifier.Layers(*(t.repeat(n, *[1] * (t.ndim - 1)) for t in start.tensors()))

    together = copies(3)
    train(together, together.zeros(), [examples(k) for k in range(3)], 5, 1e-3)
    for k in range(3):
        alone = copies(1)
        train(alone, alone.zeros(), [examples(k)], 5, 1e-3)
        for a, b in zip(together.at([k]).tensors(), alone.tensors(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_layers_of_scattered_slots_are_put_back():
    layers = classifier.empty(4, SLIM, torch.device("cpu"))
    for t in layers.tensors():
        t.zero_()
    some = layers.at([0, 2])
    for t in some.tensors():
        t.add_(1)
    layers.put([0, 2], some)
    assert layers.b4[:, 0].tolist() == [1, 0, 1, 0]


# --- equality with the code of the authors ----------------------------------------------------------------------

UPSTREAM = np.array(
    [
        [90.0, 80.0, 48.0, 64.0],
        [93.84667969, 82.99742126, 48.28907776, 65.43325806],
        [97.79127502, 85.3379364, 50.15410614, 66.40232849],
        [100.56093597, 86.77799988, 51.87885284, 68.11976624],
        [106.02433014, 90.10289001, 50.68347168, 66.81023407],
        [109.49433899, 91.58006287, 51.43495941, 66.87760162],
        [113.96828461, 91.6724472, 51.61730957, 68.68739319],
        [118.12030029, 92.98369598, 51.25445557, 67.05451965],
    ]
)
"""What py-MDNet 680fa4d gives for `golden_video` with `golden_weights`, both seeds 0 (PyTorch 2.13, OpenCV 5.0)."""


def golden_video(length: int) -> list[np.ndarray]:
    r = np.random.RandomState(0)
    w, h = 320, 240
    ground = cv2.resize(r.randint(0, 256, (h // 8, w // 8, 3)).astype(np.uint8), (w, h))
    texture = r.randint(0, 256, (8, 6, 3)).astype(np.uint8)
    texture = cv2.resize(texture, (48, 64), interpolation=cv2.INTER_NEAREST)
    frames = []
    for t in range(length):
        bw, bh = round(48 * (1 + 0.01 * t)), round(64 * (1 + 0.01 * t))
        x, y = round(90 + 4 * t), round(80 + 12 * np.sin(t / 4))
        frame = np.clip(ground.astype(int) + r.randint(-6, 7, ground.shape), 0, 255).astype(np.uint8)
        frame[y : y + bh, x : x + bw] = cv2.resize(texture, (bw, bh))
        frames.append(frame)
    return frames


def golden_weights() -> dict[str, Tensor]:
    state = {}
    for key, value in Network().state_dict().items():
        generator = torch.Generator().manual_seed(zlib.crc32(key.encode()))
        noise = torch.randn(value.shape, generator=generator)
        state[key] = noise * (2 / value[0].numel()) ** 0.5 if value.ndim > 1 else 0.01 * noise
    state["conv1.0.weight"] *= 0.2
    return state


@pytest.mark.skipif(
    not torch.backends.mkl.is_available() or int(cv2.__version__.partition(".")[0]) < 5,
    reason="PyTorch draws dropout masks by MKL, and OpenCV 5 rounds patches, as when these boxes were made",
)
def test_boxes_are_those_of_the_authors_code(tmp_path):
    path = tmp_path / "golden.pth"
    torch.save({"shared_layers": golden_weights()}, path)
    boxes = followed(Mdnet(path), golden_video(len(UPSTREAM)))
    np.testing.assert_allclose(boxes, UPSTREAM, atol=1e-3)


# --- the tracker ---------------------------------------------------------------------------------------------


def test_a_video_is_the_same_twice_and_after_another(slim):
    frames, other = video(0, 13), video(1, 3)
    teacher = Mdnet(slim)
    assert isinstance(teacher, Teacher)
    first = followed(teacher, frames)
    followed(teacher, other, "other")
    assert np.array_equal(first, followed(teacher, frames))
    assert not np.array_equal(first, followed(Mdnet(slim, seed=1), frames))
    assert np.array_equal(first[0], TARGET)
    assert is_valid(first).all()


def test_neighbours_in_a_batch_change_nothing_on_the_cpu(slim):
    videos = [video(k, 12) for k in range(3)]
    alone = [followed(Mdnet(slim), frames) for frames in videos]
    batch = MdnetBatch(slim, slots=2)
    assert isinstance(batch, BatchTeacher)
    tracks: list[list[np.ndarray]] = [[], [], []]
    in_slot: dict[int, int] = {}
    waiting = [0, 1, 2]
    while waiting or in_slot:
        for slot in range(2):
            if slot not in in_slot and waiting:
                in_slot[slot] = k = waiting.pop(0)
                tracks[k].append(batch.start(slot, videos[k][0], TARGET, Task("v", 12)))
        length = {k: 5 if k == 0 else 12 for k in range(3)}  # the first is abandoned
        for slot, box in batch.step({s: videos[k][len(tracks[k])] for s, k in in_slot.items()}).items():
            assert not isinstance(box, Exception)
            tracks[in_slot[slot]].append(box)
        for slot, k in list(in_slot.items()):
            if len(tracks[k]) == length[k]:
                batch.release(slot)
                del in_slot[slot]
    for own, wanted in zip(tracks, alone, strict=True):
        assert np.array_equal(np.stack(own), wanted[: len(own)])


def test_slots_stepped_together_give_the_boxes_of_slots_stepped_alone(slim):
    """What a GPU does, on the CPU: the same arithmetic in another order, so the first frames are all but equal."""
    videos = [video(k, 3) for k in range(3)]
    alone = [followed(Mdnet(slim), frames) for frames in videos]
    batch = MdnetBatch(slim, slots=4)
    batch.together = True
    slots = [0, 1, 3]
    for slot, frames in zip(slots, videos, strict=True):
        batch.start(slot, frames[0], TARGET, Task("v", 3))
    for t in (1, 2):
        boxes = batch.step({slot: frames[t] for slot, frames in zip(slots, videos, strict=True)})
        for slot, wanted in zip(slots, alone, strict=True):
            np.testing.assert_allclose(boxes[slot], wanted[t], atol=0.01)


def test_failure_widens_the_search_and_trains_at_once(slim, monkeypatch):
    frames = video(0, 4)
    teacher = Mdnet(slim)
    teacher.start(frames[0], TARGET, Task("v", 4))
    batch = teacher._batch
    before = batch._layers.w4.clone()
    monkeypatch.setattr(classifier, "scores", lambda _, x: torch.full((*x.shape[:2], 2), -1.0))
    trans = []
    for frame in frames[1:]:
        box = teacher.track(frame)
        trans.append(batch._tracks[0].trans)
        assert np.array_equal(box, batch._tracks[0].box)  # not regressed
    assert trans == pytest.approx([0.66, 0.726, 0.7986])
    assert not torch.equal(before, batch._layers.w4)


def test_success_learns_every_tenth_frame(slim, monkeypatch):
    frames = video(0, 12)
    teacher = Mdnet(slim)
    teacher.start(frames[0], TARGET, Task("v", 12))
    batch = teacher._batch
    real = classifier.scores
    monkeypatch.setattr(classifier, "scores", lambda layers, x: real(layers, x).abs() + 1)
    changed = []
    for frame in frames[1:]:
        before = batch._layers.w4.clone()
        teacher.track(frame)
        changed.append(not torch.equal(before, batch._layers.w4))
    assert [t for t, c in enumerate(changed, 1) if c] == [10]
    assert len(batch._tracks[0].positives) == 11
    assert len(batch._tracks[0].pending) == 1


@pytest.mark.parametrize(
    "box", [(0, 0, 48, 64), (290, 200, 60, 80), (-30, -20, 60, 60), (100, 100, 10, 10), (5, 5, 300, 220)]
)
def test_targets_at_the_border_are_tracked(slim, box):
    frames = video(0, 3)
    teacher = Mdnet(slim)
    teacher.start(frames[0], np.array(box, np.float32), Task("v", 3))
    for frame in frames[1:]:
        assert is_valid(teacher.track(frame))


@pytest.mark.parametrize("box", [(50, 50, 3, 3), (-400, -400, 50, 50), (0, 0, 2000, 2000)])
def test_targets_without_samples_are_refused(slim, box):
    with pytest.raises(TeacherError, match="video v: MDNet finds"):
        Mdnet(slim).start(video(0, 1)[0], np.array(box, np.float32), Task("v", 1))


def test_images_without_room_for_samples_are_refused(slim):
    with pytest.raises(TeacherError, match="30 x 16 is too small"):
        Mdnet(slim).start(np.zeros((16, 30, 3), np.uint8), np.array([2, 2, 9, 9], np.float32), Task("v", 1))
    with pytest.raises(TeacherError, match="needs the images"):
        Mdnet(slim).start(None, TARGET, Task("v", 1))


def test_an_error_in_one_slot_stays_there(slim):
    frames = video(0, 2)
    batch = MdnetBatch(slim, slots=2)
    for slot in range(2):
        batch.start(slot, frames[0], TARGET, Task("v", 2))
    boxes = batch.step({0: frames[1][..., :2], 1: frames[1]})
    assert isinstance(boxes[0], Exception)
    assert is_valid(boxes[1])


def test_the_batch_shrinks_when_memory_runs_out(monkeypatch):
    network = weighted(SLIM)
    extractor = Extractor(network)
    image = extractor.prepare(video(0, 1)[0])
    boxes = Sampler(np.random.RandomState(0), (320, 240)).uniform(TARGET, 70, Spread(1, 1.3))
    wanted = extractor.features([Request(image, boxes)])[0]
    real = network.features

    def small(patches: Tensor) -> Tensor:
        if len(patches) > 10:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(patches)

    monkeypatch.setattr(network, "features", small)
    found = extractor.features([Request(image, boxes)])[0]
    assert extractor.batch == 8
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
    monkeypatch.setattr(network, "features", lambda _: small(torch.empty(11, 1)))
    with pytest.raises(torch.OutOfMemoryError):
        extractor.features([Request(image, boxes)])
