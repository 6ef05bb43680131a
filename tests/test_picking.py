"""A judge's validation against plain loops, and runs that it chooses the weights of."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from learning_runs import CPU, TINY

from datasets.boxes import overlap
from trainer.crops import crop_batch
from trainer.first_student import first_student
from trainer.mdp import seen_box
from trainer.options import (
    EpisodeOptions,
    LogOptions,
    LossOptions,
    MachineOptions,
    OptimiserOptions,
    TrainOptions,
    ValidationOptions,
)
from trainer.picking import TRACKS, HeldOutTracks
from trainer.student import Student, load_student
from trainer.train import train
from trainer.windows import Windows

torch.set_num_threads(1)
OPTIONS = TrainOptions(episode=EpisodeOptions(drift=1.0))


@pytest.fixture
def held_out(windows):
    return HeldOutTracks(OPTIONS, windows)


def overlaps(found, boxes):
    """Of every frame after the first in which there is a target."""
    truth, present = found.sequence.truth, found.sequence.present
    return [float(overlap(boxes[t], truth[t])) for t in range(1, len(truth)) if present[t]]


def value_of(student, found, track):
    """v_t of one track, step by step."""
    memory, values = student.initial_state(1), [0.0]
    for t in range(1, len(found.sequence.truth)):
        around = seen_box(
            torch.from_numpy(track[t - 1])[None],
            *torch.tensor([found.sequence.pixels(t).size]).float().unbind(dim=1),
        )
        crops = [
            crop_batch(
                [torch.from_numpy(p.image)],
                torch.from_numpy(p.window)[None],
                torch.tensor([p.size]),
                around,
                32,
            )
            for p in (found.sequence.pixels(t - 1), found.sequence.pixels(t))
        ]
        with torch.no_grad():
            _, value, memory = student(*crops, memory)
        values.append(float(value))
    return values


def test_picks_are_those_of_plain_loops(held_out):
    torch.manual_seed(0)
    student = Student(TINY)
    torch.nn.init.normal_(student.critic.weight, std=1.0)
    student.eval()
    scores, changes = [], 0
    for found in held_out:
        values = [value_of(student, found, track) for track in found.boxes]
        rows = [max(range(TRACKS), key=lambda m, t=t: values[m][t]) for t in range(len(values[0]))]
        changes += len(set(rows[1:])) > 1
        boxes = [found.boxes[m, t] for t, m in enumerate(rows)]
        scores.append(np.mean(overlaps(found, boxes)))
    assert changes  # more than one track was picked, so that the order of rows and frames matters
    assert held_out.validate(student.train(), CPU).ao == pytest.approx(float(np.mean(scores)), abs=1e-6)


def test_values_that_are_no_numbers_pick_nothing(held_out):
    student = Student(TINY)
    torch.nn.init.constant_(student.critic.bias, torch.nan)
    with pytest.raises(ValueError, match="a value on what is held out"):
        held_out.validate(student, CPU)


def test_baselines_are_the_mean_track_and_the_best_box_of_every_frame(held_out):
    found = held_out.baselines()
    each, best = [], []
    for tracks in held_out:
        each += [np.mean(overlaps(tracks, track)) for track in tracks.boxes]
        best.append(np.mean(np.max([overlaps(tracks, track) for track in tracks.boxes], axis=0)))
    assert found["picks at random"].ao == pytest.approx(float(np.mean(each)), abs=1e-6)
    assert found["the best picks"].ao == pytest.approx(float(np.mean(best)), abs=1e-6)
    assert found["picks at random"].ao < found["the best picks"].ao - 0.05


def test_tracks_are_teachers_that_stray_and_the_same_in_every_pass(held_out, windows):
    for first, again in zip(held_out, held_out, strict=True):
        assert np.array_equal(first.boxes, again.boxes)
    still = TrainOptions(episode=EpisodeOptions(drift=0.0))
    for n, found in enumerate(HeldOutTracks(still, windows)):
        teachers = windows.window(n).teacher.transpose(1, 0, 2)
        assert all(any(np.array_equal(track, teacher) for teacher in teachers) for track in found.boxes)
    few = dataclasses.replace(OPTIONS, validation=ValidationOptions(most=5))
    assert len(HeldOutTracks(few, windows)) == 5


def test_no_image_stays_in_memory(held_out, monkeypatch):
    made, whole = [], Windows.window

    def window(self, n):
        made.append(whole(self, n))
        return made[-1]

    monkeypatch.setattr(Windows, "window", window)
    held_out.validate(Student(TINY), CPU)
    assert len(made) == len(held_out) == 12
    assert not any(found._images or found._files for found in made)


def run_options(share):
    return TrainOptions(
        recipe="judge",
        students=4,
        segment=2,
        imagenet="none",
        student=TINY,
        loss=LossOptions(value_weight=0.1, gamma=0.5),
        optimiser=OptimiserOptions(learning_rate=1e-2, scaling="none", updates=8),
        validation=ValidationOptions(share=share, every=2, patience=None),
        machine=MachineOptions(device="cpu", readers=1),
        log=LogOptions(every=4, checkpoint=2),
    )


def test_a_judge_keeps_the_weights_that_picked_best(sample, tmp_path, capsys):
    outcome = train([sample], tmp_path / "run", run_options(0.4))
    assert "on what is held out: picks at random AO " in capsys.readouterr().err
    history = [json.loads(line) for line in (tmp_path / "run" / "history.jsonl").read_text().splitlines()]
    found = {line["update"]: line["validation/ao"] for line in history if "validation/ao" in line}
    assert list(found) == [2, 4, 6, 8]
    assert outcome.best == max(found.values()) == found[outcome.best_update]


def test_a_judge_of_all_videos_keeps_its_last_weights(sample, tmp_path):
    options = run_options(0.0)
    assert train([sample], tmp_path / "run", options).best is None
    last, best = (load_student(tmp_path / "run" / f"{name}.safetensors") for name in ("last", "best"))
    first = first_student(options)
    for (name, a), b, c in zip(last.named_parameters(), best.parameters(), first.parameters(), strict=True):
        assert torch.equal(a, b)
        assert torch.equal(a, c) == name.startswith("actor."), name
    history = [json.loads(line) for line in (tmp_path / "run" / "history.jsonl").read_text().splitlines()]
    assert not any("validation/ao" in line for line in history)
    assert all("loss/value" in line and "loss/imitation" not in line for line in history)
