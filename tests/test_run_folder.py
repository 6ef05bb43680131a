"""A run's folder, its device, and what several processes of one run print."""

import fcntl
import json
import os

import pytest
from transfer_samples import make_video, write_sample

from datasets.errors import DataError
from trainer import __main__ as program
from trainer.checkpoint import load_checkpoint
from trainer.options import MachineOptions, OptimiserOptions, TrainOptions, ValidationOptions
from trainer.processes import join
from trainer.student import StudentOptions
from trainer.train import Outcome, train


@pytest.fixture
def sample(tmp_path):
    return write_sample(tmp_path, [make_video(tmp_path)])[0]


def options(**more):
    return TrainOptions(
        students=2,
        segment=1,
        imagenet="none",
        student=StudentOptions("tiny", 8, 32),
        optimiser=OptimiserOptions(updates=1),
        validation=ValidationOptions(share=0),
        machine=MachineOptions(device="cpu", threads=1),
        **more,
    )


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_folder_that_another_process_learns_into_is_refused(sample, tmp_path):
    out = tmp_path / "run"
    train([sample], out, options())
    before = contents(out)
    other = os.open(out, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    more = TrainOptions(optimiser=OptimiserOptions(updates=2))
    try:
        with pytest.raises(DataError, match="another process is writing here"):
            train([sample], out, more, resume=True)
    finally:
        os.close(other)
    assert contents(out) == before
    assert train([sample], out, more, resume=True).updates == 2


def test_a_resumed_run_reads_its_checkpoint_when_nobody_else_can_replace_it_any_more(
    sample, tmp_path, monkeypatch
):
    out = tmp_path / "run"
    train([sample], out, options())

    def read(folder):
        other = os.open(folder, os.O_RDONLY)
        try:
            with pytest.raises(BlockingIOError):
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        finally:
            os.close(other)
        return load_checkpoint(folder)

    monkeypatch.setattr("trainer.train.load_checkpoint", read)
    more = TrainOptions(optimiser=OptimiserOptions(updates=2))
    assert train([sample], out, more, resume=True).updates == 2


def test_where_a_file_system_has_no_locks_a_run_goes_without(sample, tmp_path, monkeypatch):
    def no_locks(descriptor, operation):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    assert train([sample], tmp_path / "run", options()).updates == 1


def test_weights_of_another_run_are_neither_kept_as_ones_own_nor_replaced(sample, tmp_path):
    weights = tmp_path / "run" / "best.safetensors"
    weights.parent.mkdir()
    weights.write_bytes(b"a colleague's")
    with pytest.raises(DataError, match=r"best\.safetensors: there are weights, and no checkpoint"):
        train([sample], tmp_path / "run", options())
    assert contents(tmp_path / "run") == {"best.safetensors": b"a colleague's"}


@pytest.mark.parametrize("device", ["meta", "nothing", "cuda:99"])
def test_a_device_that_computes_nothing_is_named(device, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    with pytest.raises(ValueError, match=f"machine.device: '{device}' is no device to learn on here"):
        join(device)


@pytest.mark.parametrize("rank", ["0", "1"])
def test_of_several_processes_one_prints_how_the_run_ended(tmp_path, monkeypatch, capsys, rank):
    outcome = Outcome("updates", 7, 0.5, 6)
    monkeypatch.setattr(program, "train", lambda *_: outcome)
    monkeypatch.setenv("RANK", rank)
    assert program.Train((tmp_path / "set.h5",), tmp_path / "run", json=True).run() == 0
    printed = capsys.readouterr().out
    assert json.loads(printed)["updates"] == 7 if rank == "0" else printed == ""
