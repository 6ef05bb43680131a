"""MDNet as a tracker: checkpoints, the boxes of the authors' code, many videos at once, borders, failures."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from golden_sequence import sequence
from mdnet_samples import SLIM, TARGET, UPSTREAM, followed, golden_weights, video, weighted
from torch import Tensor

from datasets.boxes import is_valid
from datasets.errors import DataError
from teachers import registry
from teachers.base import BatchTeacher, Task, Teacher, TeacherError
from teachers.mdnet import Mdnet, MdnetBatch, classifier
from teachers.mdnet.budget import SLIM as SLIM_BUDGET
from teachers.mdnet.budget import Budget
from teachers.mdnet.network import load_network
from teachers.mdnet.sampling import Sampler, Spread
from teachers.mdnet.training import Examples, train

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def slim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mdnet") / "slim.pth"
    torch.save({"shared_layers": weighted(SLIM).state_dict()}, path)
    return path


# Checkpoints


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


# Boxes


@pytest.mark.skipif(
    not torch.backends.mkl.is_available() or int(cv2.__version__.partition(".")[0]) < 5,
    reason="PyTorch draws dropout masks by MKL, and OpenCV 5 rounds patches, as when these boxes were made",
)
def test_boxes_are_those_of_the_authors_code(tmp_path):
    path = tmp_path / "golden.pth"
    torch.save({"shared_layers": golden_weights()}, path)
    boxes = followed(Mdnet(path), sequence(len(UPSTREAM))[0])
    np.testing.assert_allclose(boxes, UPSTREAM, atol=1e-3)


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
    track = batch._tracks[0]
    for _ in range(9):
        track.lost(track.box)
    assert track.trans == 1.5  # no farther
    track.found(track.box, frames[0])
    assert track.trans == 0.6


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


@pytest.mark.parametrize(
    ("box", "problem"),
    [
        ((50, 50, 3, 3), "MDNet finds"),
        ((0, 0, 2000, 2000), "MDNet finds"),
        ((-400, -400, 50, 50), "mdnet .* outside the image; are its pixels counted from 0"),
        ((np.nan, 50, 40, 40), "mdnet .* not a box with a width and a height"),
    ],
)
def test_targets_without_samples_are_refused(slim, box, problem):
    with pytest.raises(TeacherError, match=f"video v: {problem}"):
        Mdnet(slim).start(video(0, 1)[0], np.array(box, np.float32), Task("v", 1))


def test_images_without_room_for_samples_are_refused(slim):
    with pytest.raises(TeacherError, match="30 x 16 is too small"):
        Mdnet(slim).start(np.zeros((16, 30, 3), np.uint8), np.array([2, 2, 9, 9], np.float32), Task("v", 1))


def test_other_than_colour_images_are_refused(slim):
    teacher, (first, second) = Mdnet(slim), video(0, 2)
    with pytest.raises(ValueError, match="video v: mdnet needs images"):
        teacher.start(None, TARGET, Task("v", 2))
    with pytest.raises(ValueError, match=r"mdnet needs colour images, .* not uint8 \(\d+, \d+\)"):
        teacher.start(first[..., 0], TARGET, Task("v", 2))
    teacher.start(first, TARGET, Task("v", 2))
    with pytest.raises(ValueError, match="mdnet needs colour images"):
        teacher.track(second[..., 0])


def test_an_error_in_one_slot_stays_there(slim):
    frames = video(0, 2)
    batch = MdnetBatch(slim, slots=2)
    for slot in range(2):
        batch.start(slot, frames[0], TARGET, Task("v", 2))
    boxes = batch.step({0: frames[1][..., :2], 1: frames[1]})
    assert isinstance(boxes[0], Exception)
    assert is_valid(boxes[1])


def test_an_error_of_slots_stepped_together_fails_none_of_them_without_a_trial(slim):
    """An answer is taken for a video's own fault; what is raised has the caller try each video by itself."""
    frames = video(0, 2)
    batch = MdnetBatch(slim, slots=2)
    batch.together = True
    for slot in range(2):
        batch.start(slot, frames[0], TARGET, Task("v", 2))
    with pytest.raises(cv2.error):
        batch.step({0: frames[1][..., :2], 1: frames[1]})


def test_updates_of_scattered_slots_go_on_with_their_momenta():
    """Two failures in a row, against trainings by hand of each slot."""
    budget = Budget(16, 5, 20, 20, 100, 20, iterations=2, first_iterations=3)
    batch, frames = MdnetBatch(weighted(SLIM), 3, budget=budget), video(0, 3)
    batch.together = True
    for slot in (0, 2):
        batch.start(slot, frames[0], TARGET, Task("v", 3))
        batch._layers.b6[slot] = torch.tensor([100.0, -100.0])  # it will not believe in any candidate
    momenta = {slot: batch._layers.at([slot]).zeros() for slot in (0, 2)}
    for frame in frames[1:]:
        wanted = {}
        for slot, own in momenta.items():
            track = batch._tracks[slot]
            rng, dropout = np.random.RandomState(), torch.Generator()
            rng.set_state(track.sampler.rng.get_state())
            dropout.set_state(track.dropout.get_state())
            Sampler(rng, (320, 240)).gaussian(track.box, 16, Spread(track.trans, 1.05))
            wanted[slot] = classifier.Layers(*(t.clone() for t in batch._layers.at([slot]).tensors()))
            train(wanted[slot], own, [Examples(*track.lesson(False), rng, dropout)], 2, 1e-3)
        batch.step(dict.fromkeys((0, 2), frame))
        for slot, layers in wanted.items():
            for one, other in zip(batch._layers.at([slot]).tensors(), layers.tensors(), strict=True):
                torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_a_batch_has_the_options_of_the_teacher_that_it_comes_from():
    batch = registry.create("mdnet", {"seed": 3}).batch(2)
    assert (batch._seed, batch._budget, batch.slots) == (3, SLIM_BUDGET, 2)
