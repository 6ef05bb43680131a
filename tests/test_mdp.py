"""The Markov decision process of Section 3.2: ψ and φ are inverse, rewards have their steps, boxes keep an area."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets import boxes as numpy_boxes
from trainer.mdp import action_between, clip_box, is_valid, overlap, reward, seen_box, transition


def tensors(low, high, width=32):
    return st.floats(low, high, width=width, allow_nan=False)


box = st.tuples(tensors(-500, 2000), tensors(-500, 2000), tensors(0.5, 2000), tensors(0.5, 2000))
action = st.tuples(*[tensors(-1, 1)] * 4)


@settings(deadline=None)
@given(box, box)
def test_transition_undoes_action_between(target, reference):
    b, r = (torch.tensor(v, dtype=torch.float64) for v in (target, reference))
    torch.testing.assert_close(transition(action_between(b, r), r), b, rtol=1e-9, atol=1e-6)


@settings(deadline=None)
@given(action, box)
def test_action_between_undoes_transition(move, reference):
    a, r = (torch.tensor(v, dtype=torch.float64) for v in (move, reference))
    torch.testing.assert_close(action_between(transition(a, r), r), a, rtol=1e-6, atol=1e-9)


def test_the_corner_moves_and_sizes_are_linear():
    moved = transition(torch.tensor([0.5, -0.25, 1.0, -0.5]), torch.tensor([10.0, 20.0, 40.0, 80.0]))
    assert moved.tolist() == [30.0, 0.0, 80.0, 40.0]


@settings(deadline=None)
@given(st.lists(st.tuples(box, box), min_size=1, max_size=8))
def test_overlap_is_that_of_the_datasets(pairs):
    a, b = (np.array(side, dtype=np.float64) for side in zip(*pairs, strict=True))
    found = overlap(torch.from_numpy(a), torch.from_numpy(b)).numpy()
    np.testing.assert_allclose(found, numpy_boxes.overlap(a, b), rtol=1e-12, atol=1e-15)
    assert ((found >= 0) & (found <= 1)).all()


odd = st.tuples(*[st.floats(-100, 100, width=32) | st.sampled_from([np.nan, np.inf, -np.inf])] * 4)


@settings(deadline=None)
@given(st.lists(st.tuples(box | odd, box | odd), min_size=1, max_size=8))
def test_boxes_one_by_one_overlap_as_they_do_together(pairs):
    """To the bit: whether a trajectory is positive hangs on it."""
    a, b = (np.array(side, dtype=np.float32) for side in zip(*pairs, strict=True))
    single = [numpy_boxes.overlap(*both) for both in zip(a, b, strict=True)]
    assert np.array(single).tobytes() == numpy_boxes.overlap(a, b).tobytes()


def test_a_box_and_itself_overlap_by_1_and_no_more():
    """Though right - left may come out a rounding above the width."""
    boxes = np.random.default_rng(0).uniform(0.1, 300, (500, 4))
    single = [numpy_boxes.overlap(one, one) for one in boxes]
    for found in (numpy_boxes.overlap(boxes, boxes), np.array(single)):
        assert found.max() == 1.0
        assert found.min() > 1 - 1e-12


@pytest.mark.parametrize("bad", [[0, 0, 0, 5], [-1, -1, -1, -1], [float("nan")] * 4, [0, 0, float("inf"), 1]])
def test_boxes_that_are_not_valid_overlap_nothing(bad):
    good = torch.tensor([0.0, 0.0, 5.0, 5.0], requires_grad=True)
    other = torch.tensor(bad, dtype=torch.float32)
    for found in (overlap(good, other), overlap(other, good), overlap(other, other)):
        assert found.item() == 0.0
    overlap(good, torch.stack([other, torch.tensor([1.0, 1.0, 5.0, 5.0])])).sum().backward()
    assert good.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rewards_on_the_grid_are_not_a_step_too_low(dtype):
    grid = torch.tensor([k / 20 for k in range(10, 21)], dtype=dtype)
    expected = torch.tensor([k / 10 for k in range(11)], dtype=dtype)
    assert torch.equal(reward(grid), expected)
    below = torch.nextafter(grid, torch.zeros_like(grid))
    assert (reward(below)[0] == -1) and reward(torch.tensor(float("nan"), dtype=dtype)) == -1


@settings(deadline=None)
@given(tensors(0, 1))
def test_rewards_are_floored_overlaps(iou):
    r = reward(torch.tensor(iou, dtype=torch.float64)).item()
    assert r == -1 if iou < 0.5 else 0 <= r <= 1
    if iou >= 0.5:
        assert (r + 1) / 2 <= iou + 1e-9 < (r + 1) / 2 + 0.05 + 1e-9


@settings(deadline=None)
@given(st.lists(action, min_size=1, max_size=40), box)
def test_no_walk_of_actions_loses_the_box(moves, start):
    b = torch.tensor(start)
    for move in moves:
        b = clip_box(transition(torch.tensor(move), b), 640, 360)
        assert is_valid(b)
        assert b[:2].min() >= 0
        assert b[0] <= 640 and b[2] <= 640 and b[1] <= 360 and b[3] <= 360 and b[2:].min() >= 1


def test_clipping_takes_sizes_per_box_and_the_authors_lower_bound():
    boxes = torch.tensor([[-5.0, 7.0, 900.0, 0.0], [700.0, 7.0, 3.0, 4.0]])
    clipped = clip_box(boxes, torch.tensor([640.0, 320.0]), torch.tensor([360.0, 240.0]), smallest=0.0)
    assert clipped.tolist() == [[0.0, 7.0, 640.0, 0.0], [320.0, 7.0, 3.0, 4.0]]


def test_an_image_smaller_than_the_smallest_box_bounds_that():
    clipped = clip_box(torch.tensor([1.0, 1.0, 2.0, 2.0]), 5, 90, smallest=7.0)
    assert clipped.tolist() == [1.0, 1.0, 5.0, 7.0]


def test_an_action_about_a_box_without_area_is_finite():
    assert action_between(torch.ones(4), torch.tensor([0.0, 0.0, 0.0, 5.0])).isfinite().all()


def test_gradients_flow_through_the_transition_and_the_overlap():
    a = torch.tensor([0.1, -0.1, 0.05, 0.0], dtype=torch.float64, requires_grad=True)
    reference = torch.tensor([10.0, 12.0, 30.0, 20.0], dtype=torch.float64)
    target = torch.tensor([12.0, 11.0, 31.0, 22.0], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda v: overlap(transition(v, reference), target), a)
    assert torch.autograd.gradcheck(lambda v: action_between(transition(v, reference), target), a)


@settings(deadline=None)
@given(st.lists(box, min_size=1, max_size=4))
def test_a_strayed_box_is_seen_no_larger_than_the_image_and_with_its_centre_inside(boxes):
    b = torch.tensor(boxes, dtype=torch.float32)
    size = torch.tensor([[640.0, 360.0]]).expand(len(b), 2)
    found = seen_box(b, size[:, 0], size[:, 1])
    for one, mine in zip(b.numpy(), found.numpy(), strict=True):
        x, y, w, h = one.tolist()
        wide, high = min(w, 640), min(h, 360)
        cx, cy = min(max(x + w / 2, 0), 640), min(max(y + h / 2, 0), 360)
        expected = [cx - wide / 2, cy - high / 2, wide, high]
        np.testing.assert_allclose(mine, expected, rtol=1e-5, atol=1e-3)
        if one[0] >= 0 and one[1] >= 0 and one[0] + one[2] <= 639 and one[1] + one[3] <= 359:
            assert mine.tobytes() == one.tobytes()
