"""TRAS, TRAST and TRASFUST against a plain loop over the paper's equations."""

import copy

import numpy as np
import pytest
import torch
from plain_trackers import PlainState, clip, plain_tras, plain_trasfust, plain_trast, rho
from tracker_samples import BOX, FRAMES, Scripted, run, script, video

from teachers.options import TeacherConfigError
from trainer.trackers import Inference, TrasfustTracker, TrasTracker, TrastTracker

pytestmark = pytest.mark.usefixtures("one_thread")


def test_tras_is_the_plain_loop(student, inference):
    images = video()
    tracker = TrasTracker(inference)
    boxes, values = plain_tras(student, images)
    np.testing.assert_allclose(run(tracker, images), boxes, atol=1e-3)
    np.testing.assert_allclose([v["student"] for v in tracker.values[1:]], values, atol=1e-3)
    assert np.ptp(boxes[:, 0]) > 3 and np.ptp(boxes[:, 2]) > 1  # it does move
    assert tracker.chosen == ["given"] + ["student"] * (FRAMES - 1)


def test_trast_is_the_plain_loop(student, inference):
    images, teacher = video(), script(1)
    tracker = TrastTracker(inference, "t", Scripted(teacher))
    boxes, chosen = plain_trast(student, images, teacher)
    np.testing.assert_allclose(run(tracker, images), boxes, atol=1e-3)
    assert tracker.chosen == chosen
    assert {"student", "t"} <= set(chosen)  # both happen
    assert chosen[1] == "student"  # equal states, equal values: not the teacher's


def test_trasfust_is_the_plain_loop(student, inference):
    images, teachers = video(), {name: script(seed) for seed, name in enumerate("abc", 5)}
    tracker = TrasfustTracker(inference, {n: Scripted(b) for n, b in teachers.items()})
    boxes, chosen = plain_trasfust(student, images, teachers)
    np.testing.assert_array_equal(run(tracker, images), boxes)  # the teachers' own, clipped
    assert tracker.chosen == chosen
    assert len(set(chosen)) == 4 and chosen[1] == "a"
    assert all(set(v) == set("abc") for v in tracker.values[1:])


def test_beyond_the_image_and_beyond_an_action_of_one(student):
    """A student that jumps and a teacher that strays: actions are clamped, crops stay at the image, values agree."""
    bold = copy.deepcopy(student)
    with torch.no_grad():
        bold.actor.weight *= 200
    images = video(frames=12)
    boxes, values = plain_tras(bold, images)
    tracker = TrasTracker(Inference(bold))
    np.testing.assert_allclose(run(tracker, images), boxes, atol=1e-3)
    np.testing.assert_allclose([v["student"] for v in tracker.values[1:]], values, atol=1e-3)
    with torch.no_grad():
        first = bold(*rho(images[0], images[1], BOX), bold.initial_state(1)).action
    assert first.abs().max() > 1

    stray = script(1) + np.linspace(0, 200, FRAMES)[:, None].astype(np.float32) * [1, -1, 1, 0]
    stray = stray.astype(np.float32)
    look, tracker = PlainState(student), TrasfustTracker(Inference(student), {"a": Scripted(stray)})
    images = video()
    run(tracker, images)
    expected = [look(images[t - 1], images[t], stray[t - 1])[1] for t in range(1, FRAMES)]
    np.testing.assert_allclose([v["a"] for v in tracker.values[1:]], expected, atol=1e-3)
    tracker = TrastTracker(Inference(student), "a", Scripted(stray))
    run(tracker, images)
    np.testing.assert_allclose([v["a"] for v in tracker.values[1:]], expected, atol=1e-3)


def test_the_lstm_returns_to_its_first_state_before_update_32(student):
    images = video()
    returning, going_on = (run(TrasTracker(Inference(student, period=p)), images) for p in (32, 0))
    np.testing.assert_array_equal(returning[:32], going_on[:32])
    assert not np.array_equal(returning[32], going_on[32])
    with pytest.raises(TeacherConfigError, match="period = -1"):
        Inference(student, period=-1)


def test_the_student_is_corrected_by_the_teachers_box_and_the_teacher_is_not(student, inference):
    seen = []

    class Watching(Scripted):
        def track(self, image):
            seen.append(self.t)
            return super().track(image)

    tracker = TrastTracker(inference, "t", Watching(script(1, reach=4.0)))
    images = video()
    boxes = run(tracker, images)
    t = tracker.chosen.index("t")
    np.testing.assert_array_equal(boxes[t], clip(script(1, reach=4.0)[t]))
    assert not np.array_equal(tracker.choices[t].boxes["student"], boxes[t])
    assert seen == list(range(FRAMES - 1))


def test_a_teachers_box_beyond_the_image_is_clipped_where_it_is_given(inference):
    beyond = script(1, reach=4.0) - np.float32([60, 0, 0, 0])
    tracker = TrastTracker(inference, "t", Scripted(beyond))
    boxes = run(tracker, video())
    given = [t for t, who in enumerate(tracker.chosen) if who == "t" and beyond[t, 0] < 0]
    assert given
    for t in given:
        np.testing.assert_array_equal(boxes[t], clip(beyond[t]))


@pytest.mark.parametrize("kind", ["tras", "trast", "trasfust"])
def test_boxes_depend_on_nothing_but_the_video(inference, kind):
    def made(seconds=0.0):
        a, b = (Scripted(script(s), seconds=seconds * (s == 1)) for s in (1, 2))
        if kind == "tras":
            return TrasTracker(inference)
        return (
            TrastTracker(inference, "a", a)
            if kind == "trast"
            else TrasfustTracker(inference, {"a": a, "b": b})
        )

    images, tracker = video(), made()
    first = run(tracker, images)
    run(tracker, video(seed=9), "another")
    again = run(tracker, images)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first[:12], run(made(seconds=0.01), images[:12]))
