"""Validation: held-out windows and videos are tracked as TRAS tracks, and scored."""

import copy
import dataclasses
import shutil

import numpy as np
import pytest
import torch
from learning_runs import CPU, run_options
from tiny_videos import rows, write_got10k

from datasets.errors import DataError, DataWarning
from datasets.images import read_image
from teachers.base import Task
from trainer import validation
from trainer.checkpoint import load_checkpoint
from trainer.crops import crop_batch
from trainer.first_student import first_student
from trainer.held_out import score, spread
from trainer.mdp import clip_box, transition
from trainer.options import OptimiserOptions, TrainOptions, ValidationOptions
from trainer.trackers import Inference, TrasTracker
from trainer.train import train
from trainer.validation import HeldOut, follow
from trainer.windows import split

torch.set_num_threads(1)


def whole(videos, most=200):
    """Options of a run that validates on whole videos."""
    return TrainOptions(validation=ValidationOptions(videos=videos, most=most))


def test_following_together_is_following_alone(windows):
    student = first_student(run_options())
    torch.nn.init.normal_(student.actor.weight, std=0.05)
    _, test = split(windows, 0.4)
    chosen = HeldOut(TrainOptions(), test)
    tracked = follow(student, chosen, CPU)
    assert len(tracked) == len(chosen) == len(test)
    for boxes, sequence in tracked:
        box, state = torch.from_numpy(sequence.truth[0]), student.initial_state(1)
        for t in range(1, 4):
            pairs = [sequence.pixels(t - 1), sequence.pixels(t)]
            crops = [
                crop_batch(
                    [torch.from_numpy(p.image)],
                    torch.from_numpy(p.window)[None],
                    torch.tensor([p.size]),
                    box[None],
                    32,
                )
                for p in pairs
            ]
            action, _, state = student(*crops, state)
            box = clip_box(transition(action[0].detach().clamp(-1, 1), box), *pairs[1].size)
            torch.testing.assert_close(torch.from_numpy(boxes[t]), box, rtol=1e-4, atol=1e-3)
        # Of a few windows of large images, files and pixels would fill the memory.
        assert not sequence.window._images and not sequence.window._files


def test_whole_videos_are_tracked_as_tras_tracks_them(small_videos, windows):
    """Past frame 32 too, where the LSTM's state returns to its beginning."""
    student = first_student(run_options()).eval()
    with torch.no_grad():  # an untrained student hardly moves
        student.actor.weight *= 40
    held = HeldOut(whole(f"synthetic:{small_videos}:train", most=2), windows)
    tracked = follow(student, held, CPU)
    assert max(len(boxes) for boxes, _ in tracked) > 33
    for boxes, sequence in tracked:
        images = [read_image(path) for path in sequence.video.frames]
        tracker = TrasTracker(Inference(copy.deepcopy(student)))
        expected = [tracker.start(images[0], sequence.truth[0], Task("v", len(images)))]
        expected += [tracker.track(image) for image in images[1:]]
        np.testing.assert_allclose(boxes, expected, atol=1e-2)
        assert np.abs(boxes - boxes[0]).max() > 1
    found, still = held.validate(student, CPU), held.baselines()["static box"]
    truths = [(sequence.truth, sequence.present) for _, sequence in tracked]
    assert found == score([boxes for boxes, _ in tracked], truths) and found.frames == still.frames


def test_no_more_are_tracked_at_once_than_is_said(windows, monkeypatch):
    """Every one of them holds a frame, and whole videos have large ones."""
    together, advance = [], validation._advance
    monkeypatch.setattr(validation, "_TOGETHER", 2)
    monkeypatch.setattr(
        validation,
        "_advance",
        lambda student, busy, device: together.append(len(busy)) or advance(student, busy, device),
    )
    held = HeldOut(TrainOptions(), windows)
    tracked = follow(first_student(run_options()), held, CPU)
    assert len(tracked) == len(windows) > 4
    assert max(together) == 2 and together.count(2) > len(together) / 2


def test_validation_videos_may_move_and_no_others_take_their_place(
    sample, small_videos, tmp_path, monkeypatch
):
    moved, other = shutil.copytree(small_videos, tmp_path / "a"), tmp_path / "other"
    options = run_options(
        optimiser=OptimiserOptions(learning_rate=1e-2, scaling="none", updates=2),
        validation=ValidationOptions(videos="synthetic:a:train", most=2, every=1, patience=None),
    )
    monkeypatch.chdir(tmp_path)
    train([sample], tmp_path / "run", options)
    monkeypatch.chdir("/")  # from where a relative path would name nothing
    train([sample], tmp_path / "run", TrainOptions(), resume=True)
    there = moved.rename(tmp_path / "b")
    with pytest.raises(DataError, match="there is no such folder"):
        train([sample], tmp_path / "run", TrainOptions(), resume=True)

    def resumed(place):
        given = dataclasses.replace(TrainOptions().validation, videos=f"synthetic:{place}:train")
        further = OptimiserOptions(updates=4)
        return train(
            [sample], tmp_path / "run", TrainOptions(validation=given, optimiser=further), resume=True
        )

    write_got10k(other, {"Synthetic_Train_000001": 5}, "train")
    with pytest.raises(
        ValueError, match=r"was validated on other videos than validation.videos synthetic:.*other"
    ):
        resumed(other)
    assert resumed(there).updates == 4
    assert load_checkpoint(tmp_path / "run").options.validation.videos == f"synthetic:{there}:train"


def test_videos_that_windows_are_learnt_from_are_told(sample, windows, tmp_path):
    """By their boxes: another benchmark may have a video of that name."""
    name = windows.videos[-1]  # of which there are several
    dataset = write_got10k(tmp_path, {name: 9, "other": 9}, "val")
    (dataset / name / "groundtruth.txt").write_text(
        "".join(
            ",".join(map(str, box)) + "\n"
            for box in [[1, 2, 3, 4], *windows.truth[-1].tolist()] + [[5, 6, 7, 8]] * 4
        )
    )
    chosen = HeldOut(whole(f"got10k:{tmp_path}:val"), windows)
    assert chosen.learnt_from(windows) == [name]
    options = run_options(
        optimiser=OptimiserOptions(updates=1), validation=whole(f"got10k:{tmp_path}:val").validation
    )
    with pytest.warns(DataWarning, match=rf"windows of 1 video of them are learnt from \({name}\)"):
        train([sample], tmp_path / "run", options)
    (dataset / name / "groundtruth.txt").write_text(rows(9))
    assert HeldOut(whole(f"got10k:{tmp_path}:val"), windows).learnt_from(windows) == []


@pytest.mark.parametrize(("split", "length"), [("test", 3), ("val", 1)])
def test_videos_that_nobody_can_be_scored_on_are_refused(windows, tmp_path, split, length):
    """A test split has boxes for its first frames alone: every student would score 0 on it."""
    folder = write_got10k(tmp_path, {"a": length, "b": length}, split)
    for name in ("a", "b"):
        (folder / name / "groundtruth.txt").write_text("5,7,10,12\n")
    with pytest.raises(ValueError, match=r"none of 2 videos has images, .*\(a test split has none\)"):
        HeldOut(whole(f"got10k:{tmp_path}:{split}"), windows)
    (tmp_path / "truth").mkdir()
    (tmp_path / "truth" / "a.txt").write_text(rows(5))
    with pytest.raises(ValueError, match=r"none of 1 videos has images"):
        HeldOut(whole(f"annotations:{tmp_path / 'truth'}"), windows)


def test_scores_leave_out_frame_0_and_absent_frames():
    truth = np.tile(np.array([0, 0, 10, 10], np.float32), (4, 1))
    boxes = truth.copy()
    boxes[0] = boxes[3] = [50, 50, 1, 1]
    boxes[2, 2] = 5
    found = score([boxes], [(truth, np.array([True, True, True, False]))])
    assert found.ao == pytest.approx(0.75) and found.sr50 == 0.5 and found.frames == 2


def test_the_boxes_to_beat_stay_where_they_are_or_go_on_as_they_began(windows, tmp_path):
    """One that shrinks keeps a pixel; one that is hidden in frame 1 shows no speed."""
    folder = write_got10k(tmp_path, {"hidden": 5, "moving": 5, "shrinking": 5}, "val")
    (folder / "hidden" / "absence.label").write_text("0\n1\n0\n0\n0\n")
    (folder / "shrinking" / "groundtruth.txt").write_text("".join(f"1,1,{s},{s}\n" for s in (10, 7, 4, 1, 1)))
    found = HeldOut(whole(f"got10k:{tmp_path}:val"), windows).baselines()
    shifted = [(10 - t) / (10 + t) for t in range(5)]
    hidden, still = np.mean(shifted[2:]), np.mean(shifted[1:])
    shrunk = np.mean([0.49, 0.16, 0.01, 0.01])
    assert found["static box"].ao == pytest.approx((hidden + still + shrunk) / 3)
    assert found["constant velocity box"].ao == pytest.approx((hidden + 1 + 1) / 3)
    assert found["static box"].frames == found["constant velocity box"].frames == 11


def test_no_more_videos_are_held_out_than_is_said_and_none_without_its_first_target(windows, tmp_path):
    folder = write_got10k(tmp_path, {"a": 5, "b": 5, "c": 5}, "val")
    (folder / "a" / "absence.label").write_text("1\n0\n0\n0\n0\n")
    held = HeldOut(whole(f"got10k:{tmp_path}:val", most=2), windows)
    assert [sequence.video.name for sequence in held] == ["b"] and len(held) == 1


def test_windows_are_spread_from_the_first_to_the_last():
    assert spread(12, 3) == [0, 6, 11] and spread(2, 9) == [0, 1]
    assert spread(0, 3) == []
