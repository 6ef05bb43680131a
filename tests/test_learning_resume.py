"""Runs that end early go on to the same bits: killed at any update, by Ctrl-C, SIGTERM, by kill -9."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch
from learning_runs import command, run_options, same, surroundings, weights

from datasets.command_line import run_only_command
from datasets.errors import DataError
from trainer.__main__ import Train
from trainer.average import Average
from trainer.checkpoint import load_checkpoint
from trainer.first_student import first_student
from trainer.learner import Learner
from trainer.options import LogOptions, OptimiserOptions, TrainOptions, ValidationOptions
from trainer.student import Student, StudentOptions, load_student
from trainer.train import train

torch.set_num_threads(1)


@pytest.mark.parametrize("at", [1, 3, 4, 7])
def test_killed_at_any_update_and_resumed_it_is_the_same_to_the_bit(
    sample, straight, tmp_path, monkeypatch, at
):
    real = Learner.update

    def dying(self, stop=False):
        if self.updates == at:
            raise MemoryError("as good as a kill: nothing is saved")
        return real(self, stop)

    monkeypatch.setattr(Learner, "update", dying)
    with pytest.raises(MemoryError):
        train([sample], tmp_path / "a", run_options())
    monkeypatch.setattr(Learner, "update", real)
    if at < 2:  # killed before the first checkpoint: there is nothing to resume
        with pytest.raises(DataError, match="no checkpoint to resume"):
            train([sample], tmp_path / "a", run_options(), resume=True)
        return
    outcome = train([sample], tmp_path / "a", TrainOptions(), resume=True)
    assert outcome.updates == 8
    assert same(weights(tmp_path / "a"), weights(straight))
    assert (tmp_path / "a/best.safetensors").read_bytes() == (straight / "best.safetensors").read_bytes()

    def lines(folder):
        found = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
        return [{k: v for k, v in line.items() if k != "speed"} for line in found]

    assert lines(tmp_path / "a") == lines(straight)


def test_killed_after_the_first_validation_it_goes_on(sample, straight, tmp_path, monkeypatch):
    options = run_options()
    rarely = dataclasses.replace(options.log, checkpoint=1000)
    real = Learner.update

    def dying(self, stop=False):
        if self.updates == options.validation.every + 1:
            raise MemoryError("as good as a kill: nothing is saved")
        return real(self, stop)

    monkeypatch.setattr(Learner, "update", dying)
    with pytest.raises(MemoryError):
        train([sample], tmp_path / "a", dataclasses.replace(options, log=rarely))
    monkeypatch.setattr(Learner, "update", real)
    assert train([sample], tmp_path / "a", TrainOptions(), resume=True).updates == 8
    assert same(weights(tmp_path / "a"), weights(straight))


@pytest.mark.parametrize(
    ("share", "every", "checkpoint"),
    [(0.4, 2, 1000), (0.4, 2, 2), (0.4, 3, 1), (0.0, 1000, 2), (0.4, 1000, 1000)],
)
def test_killed_while_it_writes_any_of_its_files_it_goes_on_or_begins_anew(
    sample, tmp_path, monkeypatch, share, every, checkpoint
):
    options = run_options(
        validation=ValidationOptions(share=share, every=every, patience=None),
        log=LogOptions(every=1, checkpoint=checkpoint),
        optimiser=OptimiserOptions(learning_rate=1e-2, scaling="none", updates=4),
    )
    real, left = os.fsync, [10**6]

    def dying(descriptor):  # every file comes by here on its way to its name
        left[0] -= 1
        if left[0] == 0:
            raise MemoryError("as good as a kill")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", dying)
    train([sample], tmp_path / "whole", options)
    written = 10**6 - left[0]
    for at in range(1, written + 1):
        out, left[0] = tmp_path / str(at), at
        with pytest.raises(MemoryError):
            train([sample], out, options)
        begun = (out / "last.pt").exists()
        train([sample], out, TrainOptions() if begun else options, resume=begun)
        for name in ("last.safetensors", "best.safetensors"):
            assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), (at, name)
    assert written > 4


def test_best_weights_that_are_gone_are_missed_before_anything_is_learnt(sample, straight, tmp_path):
    shutil.copytree(straight, tmp_path / "a")
    best = load_checkpoint(straight).standing.best_update
    assert best < 8
    (tmp_path / "a/best.safetensors").unlink()
    with pytest.raises(DataError, match=rf"best.safetensors: .*weights of update {best}, the best so far"):
        train([sample], tmp_path / "a", TrainOptions(), resume=True)


def test_what_is_kept_is_the_running_mean_of_the_weights(sample, tmp_path, monkeypatch):
    options = run_options()
    options = dataclasses.replace(options, optimiser=dataclasses.replace(options.optimiser, average=0.3))
    mean = {name: value.clone() for name, value in first_student(options).named_parameters()}
    real = Learner.update

    def watched(self, stop=False):
        result = real(self, stop)
        keep = min(0.3, self.updates / (self.updates + 10))
        for name, value in self.student.named_parameters():
            mean[name] = keep * mean[name] + (1 - keep) * value.detach()
        if self.updates == 5 and not (tmp_path / "again").exists():
            shutil.copytree(tmp_path / "a", tmp_path / "again")  # as if killed, the last checkpoint left
        return result

    monkeypatch.setattr(Learner, "update", watched)
    train([sample], tmp_path / "a", options)
    kept = weights(tmp_path / "a")
    for name, value in mean.items():
        torch.testing.assert_close(kept[name], value.detach(), rtol=1e-5, atol=1e-6, msg=name)
    monkeypatch.setattr(Learner, "update", real)
    train([sample], tmp_path / "again", TrainOptions(), resume=True)
    assert same(weights(tmp_path / "again"), kept)


def test_the_running_means_normalisation_is_the_latest_and_it_has_no_gradient():
    torch.manual_seed(0)
    student = Student(StudentOptions(backbone="resnet18", width=8, crop_size=32)).train()
    first = {name: value.clone() for name, value in student.state_dict().items()}
    average = Average(student, 0.5)
    with torch.no_grad():
        for value in (*student.parameters(), *student.buffers()):
            value += 1
    average.add(student, 20)  # 20 / 30 are left of the mean but for the decay: a half
    kept, learnt = average.student.state_dict(), dict(student.named_parameters())
    assert not any(weight.requires_grad for weight in average.student.parameters())
    assert "backbone.bn1.running_mean" in kept.keys() - learnt.keys()
    for name, value in kept.items():
        wanted = first[name] + (0.5 if name in learnt else 1)
        torch.testing.assert_close(value, wanted, rtol=0, atol=1e-6, msg=name)
    average.add(student, 1)  # 1 / 11 is left
    torch.testing.assert_close(average.student.actor.bias, learnt["actor.bias"] - 0.5 / 11, rtol=0, atol=1e-6)


def test_ctrl_c_leaves_a_checkpoint_that_goes_on(sample, straight, tmp_path, monkeypatch):
    real = Learner.update

    def interrupted(self, stop=False):
        if self.updates == 4:
            signal.raise_signal(signal.SIGINT)
        return real(self, stop)

    monkeypatch.setattr(Learner, "update", interrupted)
    before = signal.getsignal(signal.SIGINT)  # a shell's background jobs ignore Ctrl-C from the start
    outcome = train([sample], tmp_path / "a", run_options())
    assert outcome.ending == "interrupted" and outcome.updates < 8
    assert signal.getsignal(signal.SIGINT) is before
    load_student(tmp_path / "a/last.safetensors")
    monkeypatch.setattr(Learner, "update", real)
    assert train([sample], tmp_path / "a", TrainOptions(), resume=True).ending == "updates"
    assert same(weights(tmp_path / "a"), weights(straight))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_command_with_a_checkpoint_that_goes_on(sample, tmp_path, number):
    out, first = tmp_path / "signalled", 3  # the first validation alone writes a checkpoint
    words = command(sample, out, 10**6, validation__every=first, log__checkpoint=10**6)
    with subprocess.Popen(words, env=surroundings(), stderr=subprocess.PIPE, text=True) as running:
        try:
            while not (out / "last.pt").exists() and running.poll() is None:
                time.sleep(0.002)
            running.send_signal(number)
            _, errors = running.communicate(timeout=60)
        finally:
            running.kill()
    assert running.returncode == 130, errors
    made = load_checkpoint(out).learner["updates"]
    assert f"ended after update {made}: interrupted; --resume goes on" in errors.splitlines()[-1]
    assert made > first
    optimiser = OptimiserOptions(learning_rate=1e-2, scaling="none", updates=made + 3)
    more = TrainOptions(optimiser=OptimiserOptions(updates=made + 3))
    assert train([sample], out, more, resume=True).updates == made + 3
    train([sample], tmp_path / "whole", run_options(optimiser=optimiser))
    assert same(weights(out), weights(tmp_path / "whole"))
    assert same(weights(out, "best.safetensors"), weights(tmp_path / "whole", "best.safetensors"))


@pytest.mark.parametrize(
    ("number", "code", "said"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_a_second_signal_ends_the_command_at_once(
    sample, straight, tmp_path, monkeypatch, capsys, number, code, said
):
    real = Learner.update

    def impatient(self, stop=False):
        if self.updates == 5:
            signal.raise_signal(number)
            signal.raise_signal(number)
            raise AssertionError("it went on")
        return real(self, stop)

    monkeypatch.setattr(Learner, "update", impatient)
    monkeypatch.setattr(sys, "argv", command(sample, tmp_path / "a")[2:])
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
    try:
        assert run_only_command(Train, "python -m trainer", pairs=True) == code
    finally:
        signal.signal(signal.SIGINT, before)
    assert capsys.readouterr().err.endswith(f"\npython -m trainer: {said}\n")
    assert load_checkpoint(tmp_path / "a").learner["updates"] == 4
    monkeypatch.setattr(Learner, "update", real)
    assert train([sample], tmp_path / "a", TrainOptions(), resume=True).updates == 8
    assert same(weights(tmp_path / "a"), weights(straight))


def test_after_kill_9_a_run_goes_on_to_the_same_bits(sample, tmp_path):
    out, updates = tmp_path / "killed", 150
    running = subprocess.Popen(
        command(sample, out, updates), env=surroundings(), stderr=subprocess.PIPE, text=True
    )
    while not (out / "last.pt").exists() and running.poll() is None:
        time.sleep(0.002)
    running.kill()
    _, errors = running.communicate()
    assert running.returncode == -signal.SIGKILL, errors
    assert load_checkpoint(out).learner["updates"] < updates
    options = run_options(optimiser=OptimiserOptions(learning_rate=1e-2, scaling="none", updates=updates))
    assert train([sample], out, TrainOptions(), resume=True).updates == updates
    train([sample], tmp_path / "whole", options)
    assert same(weights(out), weights(tmp_path / "whole"))
    assert same(weights(out, "best.safetensors"), weights(tmp_path / "whole", "best.safetensors"))
