"""The native SiamRPN family as trackers: upstream's boxes, many videos at once, borders, lost targets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from siamrpn_samples import BOXES, CPU, FRAMES, GOLDEN, TASK, golden_weights, small_tracker
from torch import nn

from teachers.base import BatchTeacher, Task, Teacher, TeacherError, checked_box
from teachers.siamrpn import SiamRpn
from teachers.siamrpn.engine import SiamRPNBatch, SiamRPNTeacher
from teachers.siamrpn.head import Kernels
from teachers.siamrpn.tracker import State, Tracker
from teachers.siamrpn.variants import EXEMPLAR, VARIANTS, LongTerm

pytestmark = pytest.mark.usefixtures("one_thread")


# Equality with upstream


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("siamrpn_alex_dwxcorr", 19),
        ("dasiamrpn_vot", 19),
        ("siamrpn_mobilev2_l234_dwxcorr", 19),
        ("siamrpn_r50_l234_dwxcorr", 19),
    ],
)
def test_boxes_equal_upstreams(name: str, count: int, tmp_path: Path):
    golden, variant = GOLDEN[name], VARIANTS[name]
    state = golden_weights(variant.build(), golden["factor_cls"], golden["factor_loc"])
    path = tmp_path / "model.pth"
    torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}, "epoch": 20}, path)
    upstream = {"origin": "true"} if name == "dasiamrpn_vot" else {"start": "pysot-init"}
    teacher = SiamRpn(weights=path, variant=name, threads=1, **upstream)
    engine = teacher.batch(2)
    np.testing.assert_array_equal(engine.start(1, FRAMES[0], BOXES[0], TASK), BOXES[0])
    boxes, scores = [], []
    for frame in FRAMES[1 : count + 1]:
        boxes.append(engine.step({1: frame})[1])
        scores.append(engine._states[1].score)
    np.testing.assert_allclose(boxes, golden["boxes"][:count], atol=0.01, rtol=0)
    np.testing.assert_allclose(scores, golden["scores"][:count], atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_has_its_shapes(name: str):
    variant = VARIANTS[name]
    with torch.device("meta"):
        network = variant.build().eval()
        kernels = network.template(torch.empty(3, 3, EXEMPLAR, EXEMPLAR))
        for search in {variant.tuning.search, variant.tuning.small_search or 287, 831}:
            classes, boxes = network(torch.empty(3, 3, search, search), kernels)
            side = variant.tuning.response(search)
            assert classes.shape == (3, 10, side, side)
            assert boxes.shape == (3, 20, side, side)


# The protocol, many videos at once


def test_one_video_at_a_time_and_the_batch_agree_to_the_last_bit():
    shared = small_tracker()
    teacher, batch = SiamRPNTeacher(shared), SiamRPNBatch(shared, 2)
    assert isinstance(teacher, Teacher)
    assert isinstance(batch, BatchTeacher)
    videos = {
        name: ([FRAMES[(first + i) % 20] for i in range(length)], BOXES[first] + [shift, 0, 0, 0])
        for name, first, length, shift in (("a", 0, 9, 0), ("b", 3, 4, 5), ("c", 7, 6, -9), ("d", 2, 3, 30))
    }
    alone = {}
    for name, (frames, box) in videos.items():
        start = teacher.start(frames[0], box, Task(name, len(frames)))
        alone[name] = [start, *(teacher.track(frame) for frame in frames[1:])]

    for order in (["a", "b", "c", "d"], ["d", "c", "b", "a"], ["c", "a", "d", "b"]):
        waiting, busy, found = list(order), {}, {name: [] for name in videos}
        while waiting or busy:
            for slot in range(batch.slots):
                if slot not in busy and waiting:
                    name = waiting.pop(0)
                    frames, box = videos[name]
                    found[name].append(batch.start(slot, frames[0], box, Task(name, len(frames))))
                    busy[slot] = name
            answers = batch.step({s: videos[name][0][len(found[name])] for s, name in busy.items()})
            for slot, box in answers.items():
                found[busy[slot]].append(box)
                if len(found[busy[slot]]) == len(videos[busy[slot]][0]):
                    batch.release(slot)
                    del busy[slot]
        for name, boxes in alone.items():
            np.testing.assert_array_equal(found[name], boxes)


def test_one_call_for_many_videos_gives_the_same_boxes():
    one, many = small_tracker(), small_tracker(together=8)
    states = [one.begin(FRAMES[t], BOXES[t]) for t in (0, 4, 9)]
    apart, joint = states, states
    for step in range(4):
        images = [FRAMES[t + step] for t in (1, 5, 10)]
        apart, joint = one.step(apart, images), many.step(joint, images)
        for a, b in zip(apart, joint, strict=True):
            np.testing.assert_allclose(a.box, b.box, atol=1e-3)


def test_a_step_changes_no_state():
    shared = small_tracker()
    state = shared.begin(FRAMES[0], BOXES[0])
    first, second = (shared.step([state], [FRAMES[1]])[0] for _ in range(2))
    np.testing.assert_array_equal(first.box, second.box)
    np.testing.assert_array_equal(state.box, BOXES[0])


def test_the_batch_shrinks_when_memory_runs_out():
    whole = small_tracker(together=8)
    calls = []

    class Tight(nn.Module):
        def template(self, exemplar: torch.Tensor):
            return whole.network.template(exemplar)

        def forward(self, search: torch.Tensor, kernels: Kernels):
            calls.append(len(search))
            if len(search) > limit:
                raise torch.OutOfMemoryError("too much")
            return whole.network(search, kernels)

    limit = 2
    tight = Tracker(Tight(), whole.tuning, CPU, together=8)
    states = [tight.begin(FRAMES[t], BOXES[t]) for t in range(5)]
    images = [FRAMES[t + 1] for t in range(5)]
    for a, b in zip(tight.step(states, images), whole.step(states, images), strict=True):
        np.testing.assert_allclose(a.box, b.box, atol=1e-3)
    assert calls == [5, 2, 2, 1]
    tight.step(states, images)
    assert calls[4:] == [2, 2, 1]
    limit = 0
    # What `BatchTeacher` promises: the caller then goes on with fewer slots.
    batch = SiamRPNBatch(tight, 2)
    batch.start(0, FRAMES[0], BOXES[0], TASK)
    with pytest.raises(torch.OutOfMemoryError, match="too much"):
        batch.step({0: FRAMES[1]})


def test_only_the_broken_video_fails():
    shared = small_tracker()
    batch = SiamRPNBatch(shared, 2)
    batch.start(0, FRAMES[0], BOXES[0], TASK)
    batch.start(1, FRAMES[0], BOXES[0], TASK)
    batch._states[0] = replace(
        batch._states[0], kernels=tuple(k * torch.nan for k in batch._states[0].kernels)
    )
    answers = batch.step({0: FRAMES[1], 1: FRAMES[1]})
    assert isinstance(answers[0], TeacherError)
    assert "no finite proposal" in str(answers[0])
    checked_box(answers[1], "slot 1")
    teacher = SiamRPNTeacher(shared)
    with pytest.raises(TeacherError, match="before start"):
        teacher.track(FRAMES[0])
    with pytest.raises(ValueError, match="no slot 2"):
        batch.start(2, FRAMES[0], BOXES[0], TASK)
    with pytest.raises(ValueError, match="slots = 0"):
        SiamRPNBatch(shared, 0)


# Borders of the image


@pytest.mark.parametrize(
    "box",
    [
        (-30, -20, 60, 50),
        (300, 220, 60, 50),
        (0, 0, 320, 240),
        (-900, -900, 2500, 2500),
        (5, 5, 0.5, 0.5),
        (5, 5, 0.001, 0.001),
    ],
)
def test_boxes_at_the_border_are_tracked(box: tuple[float, ...]):
    shared = small_tracker()
    state = shared.begin(FRAMES[0], np.array(box, np.float32))
    for frame in FRAMES[1:4]:
        (state,) = shared.step([state], [frame])
        x, y, w, h = checked_box(state.box, "border").tolist()
        assert 0 <= x + w / 2 <= 320
        assert 0 <= y + h / 2 <= 240
        assert 10 <= w <= 320
        assert 10 <= h <= 240


@pytest.mark.parametrize(
    ("box", "problem"),
    [
        ((400, 10, 20, 20), "outside the image"),
        ((-50, 10, 20, 20), "outside the image"),
        ((10, 10, 0, 20), "not a box"),
        ((np.nan, 1, 2, 3), "not a box"),
    ],
)
def test_a_box_without_a_pixel_is_refused(box: tuple[float, ...], problem: str):
    shared, given = small_tracker(), np.array(box, np.float32)
    said = rf"video odd-name: siamrpn .*{box[1]:g}, {box[2]:g}, {box[3]:g}\) in an image of 320 x 240 .*{problem}"
    with pytest.raises(TeacherError, match=said):
        SiamRPNTeacher(shared).start(FRAMES[0], given, Task("odd-name", 2))
    with pytest.raises(TeacherError, match=said):
        SiamRPNBatch(shared, 2).start(0, FRAMES[0], given, Task("odd-name", 2))


def test_other_than_colour_images_are_refused():
    teacher = SiamRPNTeacher(small_tracker())
    with pytest.raises(ValueError, match=f"video {TASK.name}: siamrpn needs images"):
        teacher.start(None, BOXES[0], TASK)
    with pytest.raises(ValueError, match=r"siamrpn needs colour images, .* not uint8 \(\d+, \d+\)"):
        teacher.start(FRAMES[0][..., 0], BOXES[0], TASK)
    teacher.start(FRAMES[0], BOXES[0], TASK)
    with pytest.raises(ValueError, match="siamrpn needs colour images"):
        teacher.track(FRAMES[1][..., 0])
    with pytest.raises(ValueError, match="siamrpn needs colour images"):
        teacher.start(FRAMES[0][..., 0], BOXES[0], TASK)
    with pytest.raises(TeacherError, match="before start"):
        teacher.track(FRAMES[1])


def test_the_first_centre_and_the_small_target_follow_the_tuning():
    box = np.array([100, 100, 15, 15], np.float32)
    centres = [small_tracker(start=start).begin(FRAMES[0], box).centre for start in ("centre", "pysot-init")]
    assert centres == [(107.5, 107.5), (107.0, 107.0)]
    assert small_tracker(small_search=311).begin(FRAMES[0], box).search == 311
    # Of 320 x 240 pixels, 307.2 are 0.4 %.
    for box, search in ((np.float32([100, 100, 17, 18]), 311), (np.float32([100, 100, 17, 18.1]), 287)):
        assert small_tracker(small_search=311).begin(FRAMES[0], box).search == search


# Lost targets


def test_the_long_term_tracker_waits_and_looks_wider():
    tuning = replace(VARIANTS["siamrpn_alex_dwxcorr"].tuning, long_term=LongTerm(0.8, 0.998, search=415))
    searched = []

    class Sure(nn.Module):
        logit = 0.0

        def template(self, exemplar: torch.Tensor):
            return (exemplar[:, :1, :1, :1],)

        def forward(self, search: torch.Tensor, kernels: Kernels):
            searched.append(search.shape[-1])
            side = tuning.response(search.shape[-1])
            classes = torch.zeros(1, 10, side, side)
            classes[:, 5:] = self.logit
            return classes, torch.full((1, 20, side, side), 0.1)

    network = Sure()
    shared = Tracker(network, tuning, CPU)
    state = shared.begin(FRAMES[0], BOXES[0])
    history = []
    for logit in (0.0, 3.0, 9.0, 9.0):
        network.logit = logit
        before = state
        (state,) = shared.step([state], [FRAMES[1]])
        assert isinstance(state, State)
        history.append((state.lost, state.centre != before.centre))
    assert history == [(True, False), (True, True), (False, True), (False, True)]
    assert searched == [287, 415, 415, 287]
