"""MDNet's parts against definitions and closed forms: network, crops, samples, regression, memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mdnet_samples import SLIM, TARGET, video, weighted
from torch import Tensor
from torch.nn import functional

from datasets.boxes import centres, is_valid, overlap
from teachers.mdnet import regression
from teachers.mdnet.budget import Budget
from teachers.mdnet.crop import as_input, crop, crop_on_device, padded
from teachers.mdnet.extractor import Extractor, Request
from teachers.mdnet.memory import Memory
from teachers.mdnet.network import Widths
from teachers.mdnet.normalised_pool import by_operators, normalised_pool
from teachers.mdnet.sampling import Sampler, Spread
from teachers.mdnet.track import LONG, SHORT, Track

pytestmark = pytest.mark.usefixtures("one_thread")


# Network


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


# Crops


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


# Samples


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


def test_a_target_that_few_samples_overlap_is_given_fewer_than_asked_for():
    """Twice, four and eight times what lacks are drawn, no more: 14 times where none is accepted."""
    sampler = Sampler(np.random.RandomState(0), (640, 480))
    assert len(sampler.gaussian_within(TARGET, 7, Spread(0.1, 1.3), (1.1, 1.2))) == 0
    plain = np.random.RandomState(0)
    for n in (14, 28, 56):
        plain.randn(n, 2), plain.randn(n, 1)
    assert sampler.rng.rand() == plain.rand()


def test_the_first_accepted_samples_are_kept():
    found = Sampler(np.random.RandomState(0), (640, 480)).uniform_within(
        TARGET, 5, Spread(1, 1.6), (0.0, 0.5)
    )
    drawn = Sampler(np.random.RandomState(0), (640, 480)).uniform(TARGET, 10, Spread(1, 1.6))
    np.testing.assert_array_equal(found, drawn[overlap(drawn, TARGET) <= 0.5][:5])


def test_centres_reach_the_images_far_border():
    sampler = Sampler(np.random.RandomState(0), (320, 240))
    found = sampler.uniform(np.float32([300, 220, 30, 30]), 200, Spread(2.0, 1.3))
    np.testing.assert_allclose(centres(found).max(axis=0), [320, 240], atol=1e-3)


# Regression


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


# Memory


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


# A track


def _track(budget: Budget | None = None) -> Track:
    positives, negatives = (Memory(1, 1, entries, 1, torch.device("cpu")) for entries in (LONG, SHORT))
    sampler = Sampler(np.random.RandomState(0), (640, 480))
    return Track(sampler, torch.Generator(), TARGET, positives, negatives, budget=budget or Budget())


def test_a_failure_learns_from_thirty_frames_and_a_success_from_a_hundred():
    track = _track()
    for number in range(150):
        for memory in (track.positives, track.negatives):
            memory.add(torch.tensor([[float(number)]]))
    for success, oldest in ((False, 120), (True, 50)):
        lesson = track.lesson(success)
        values = [rows.take(torch.arange(len(rows)))[:, 0].tolist() for rows in lesson]
        assert values == [list(range(oldest, 150)), list(range(120, 150))]


def test_samples_of_each_purpose_lie_where_the_authors_draw_them():
    """Overlaps and distances, in units of the mean of width and height (56), that each spread and range allows."""
    track = _track()
    first = track.first("video v")
    track.found(TARGET, np.empty(0, np.uint8))
    (found,) = track.pending
    for boxes, count, least, most, nearest, farthest in (
        (first.positives, 500, 0.7, 1.0, 0.05, 0.1),
        (found.positives, 50, 0.7, 1.0, 0.05, 0.1),
        (first.negatives, 5000, 0.0, 0.5, 1.5, 20),
        (track.first_background(), 200, 0.0, 0.5, 1.5, 2),
        (found.negatives, 200, 0.0, 0.3, 1.5, 2),
        (track.to_regress(), None, 0.6, 1.0, 0.2, 0.3),
    ):
        iou = overlap(boxes, TARGET)
        away = np.abs(centres(boxes) - centres(TARGET)).max() / 56
        assert count in (None, len(boxes))
        assert least <= iou.min() and most - 0.1 < iou.max() <= most
        assert nearest < away <= farthest + 1e-4


# The extractor


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
