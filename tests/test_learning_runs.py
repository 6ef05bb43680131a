"""Whole runs: what they leave behind, how they end, and that several processes learn what one learns."""

import json
import shutil
import socket
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from learning_runs import command, run_options, same, surroundings, weights

from trainer.checkpoint import load_checkpoint
from trainer.held_out import Score
from trainer.options import LogOptions, MachineOptions, OptimiserOptions, TrainOptions, ValidationOptions
from trainer.report import Report
from trainer.saved_options import as_json
from trainer.train import BEST, train

torch.set_num_threads(1)


def test_a_run_leaves_weights_history_and_checkpoint(straight):
    assert sorted(p.name for p in straight.iterdir()) == [
        "best.safetensors",
        "history.jsonl",
        "last.pt",
        "last.safetensors",
        "options.json",
    ]
    told = json.loads((straight / "options.json").read_text())
    assert told["options"] == as_json(load_checkpoint(straight).options) and len(told["sets"]) == 1
    history = [json.loads(line) for line in (straight / "history.jsonl").read_text().splitlines()]
    assert [line["update"] for line in history] == [3, 4, 6, 8]
    assert {"loss/imitation", "loss/policy", "loss/value", "reward/teacher", "horizon", "speed"} <= set(
        history[1]
    )
    assert 0 <= history[0]["validation/ao"] <= 1


def test_the_speed_is_that_of_learning_alone(monkeypatch, capsys):
    """Without the first update, which compiles, nor the seconds of validations; in students' frames."""
    clock = [100.0]
    monkeypatch.setattr("trainer.report.time", SimpleNamespace(monotonic=lambda: clock[0]))
    report = Report(run_options(students=6, segment=5), 40, 3, "windows", speaks=True)
    clock[0] = 160.0
    report.advance(1)
    assert report.line(1, {"horizon": 2.0}) == {"horizon": 2.0}  # no time has passed
    clock[0] = 180.0
    report.advance(11)
    for seconds in (4.0, 6.0):
        report.validation(Score(0.5, 0.25, 9), best=False, seconds=seconds)
    assert report.line(11, {"horizon": 2.0}) == {"horizon": 2.0, "speed": 10 * 6 * 5 / (20 - 10)}
    clock[0] = 183.0
    assert report.line(12, {})["speed"] == 6 * 5 / 3  # the validations were before
    assert "speed" not in report.line(13, {})
    clock[0] = 190.0
    assert "speed" not in report.line(13, {})  # nothing was learnt
    said = capsys.readouterr().err
    assert "update 11: 30 frames/s, horizon 2" in said
    assert "validation: AO 0.500, SR 0.250 over 9 frames\n" in said


def test_who_may_read_the_history_may_read_the_weights(straight):
    assert len({path.stat().st_mode for path in straight.iterdir()}) == 1


def test_a_run_shorter_than_its_intervals_leaves_all_files_and_says_how_it_ended(sample, tmp_path, capsys):
    options = run_options(
        optimiser=OptimiserOptions(learning_rate=1e-2, scaling="none", updates=2),
        validation=ValidationOptions(share=0.4, every=1000),
        log=LogOptions(every=100, checkpoint=500),
    )
    outcome = train([sample], tmp_path, options)
    said = capsys.readouterr().err
    assert (
        f"ended after update 2: all updates are made; for more, --optimiser.updates; {BEST} is of update 2"
        in said
    )
    history = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert [line["update"] for line in history] == [2, 2] and "loss/imitation" in history[0]
    assert history[1]["validation/ao"] == outcome.best
    assert same(weights(tmp_path, BEST), weights(tmp_path))
    again = train([sample], tmp_path, TrainOptions(), resume=True)
    assert again == outcome and "ended after update 2" in capsys.readouterr().err


def test_a_run_whose_time_is_over_before_a_validation_says_so(sample, tmp_path, capsys):
    options = run_options(optimiser=OptimiserOptions(minutes=0), validation=ValidationOptions(share=0.4))
    assert train([sample], tmp_path, options).ending == "minutes"
    assert f"the time is over; --resume goes on; nothing was validated yet, so there is no {BEST}" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize("updates", [1, 100])
def test_a_run_without_further_updates_has_best_weights(sample, tmp_path, updates):
    """Whose time was over with its last update, or who is asked for no more than it has made."""
    options = run_options(
        optimiser=OptimiserOptions(updates=updates, minutes=0), validation=ValidationOptions(share=0.4)
    )
    outcome = train([sample], tmp_path, options)
    if updates > 1:
        assert outcome.ending == "minutes" and outcome.best is None
        outcome = train([sample], tmp_path, TrainOptions(optimiser=OptimiserOptions(updates=1)), resume=True)
    assert outcome.ending == "updates" and outcome.best is not None and outcome.best_update == 1
    assert same(weights(tmp_path, BEST), weights(tmp_path))
    assert train([sample], tmp_path, TrainOptions(), resume=True) == outcome


def test_time_ends_a_run(sample, tmp_path):
    options = run_options(optimiser=OptimiserOptions(updates=10**6, minutes=1e-4))
    assert train([sample], tmp_path / "a", options).ending == "minutes"


def test_validation_that_stops_improving_ends_the_run(sample, tmp_path):
    never = OptimiserOptions(learning_rate=1e-12, scaling="none", updates=100)
    options = run_options(optimiser=never, validation=ValidationOptions(share=0.4, every=1, patience=2))
    outcome = train([sample], tmp_path / "a", options)
    assert outcome.ending == "patience" and outcome.updates <= 4 and outcome.best_update <= 2
    again = train([sample], tmp_path / "a", options, resume=True)
    assert again.ending == "patience" and again.updates == outcome.updates


def test_a_run_in_mixed_precision_leaves_finite_float32_weights(sample, tmp_path):
    options = run_options(machine=MachineOptions(device="cpu", readers=1, precision="bfloat16"))
    assert train([sample], tmp_path / "a", options).updates == 8
    assert all(v.dtype == torch.float32 and v.isfinite().all() for v in weights(tmp_path / "a").values())


def in_two_processes(words, code=0):
    """Run a command as torchrun would, without its seconds, to an exit code; what each process printed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    group = surroundings(MASTER_ADDR="127.0.0.1", MASTER_PORT=port, WORLD_SIZE="2")
    peers = [
        subprocess.Popen(
            words,
            env={**group, "RANK": str(r), "LOCAL_RANK": str(r)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for r in range(2)
    ]
    printed = [peer.communicate(timeout=120) for peer in peers]
    assert [peer.returncode for peer in peers] == [code, code], printed
    return [out for out, _ in printed]


def test_processes_wait_longer_for_each_other_than_a_validation_of_whole_videos_takes():
    words = "from trainer.processes import join; import torch; from torch import distributed as d; me = join('cpu'); "
    words += (
        "print(d.group.WORLD._get_backend(torch.device('cpu')).options._timeout.total_seconds()); "
        "d.barrier(); me.leave()"  # who leaves while the other still connects breaks that
    )
    assert min(float(out) for out in in_two_processes([sys.executable, "-c", words])) >= 12 * 3600


@pytest.fixture(scope="module")
def two(sample, tmp_path_factory):
    """The folder of two processes' run without interruption."""
    out = tmp_path_factory.mktemp("two") / "two"
    in_two_processes(command(sample, out))
    return out


def test_two_processes_learn_what_one_learns(sample, straight, two):
    both, one = weights(two), weights(straight)
    for name in one:
        torch.testing.assert_close(both[name], one[name], rtol=1e-3, atol=1e-5, msg=name)


INTERRUPTED = """
import os, signal, sys
from datasets.command_line import run_only_command
from trainer.__main__ import Train
from trainer.learner import Learner

real = Learner.update

def update(self, stop=False):
    if self.updates == 0 and os.environ["RANK"] == "1":
        signal.raise_signal(signal.SIGINT)
    return real(self, stop)

Learner.update = update
sys.exit(run_only_command(Train, "python -m trainer", pairs=True))
"""


def test_two_processes_of_which_one_is_interrupted_go_on_to_the_same_bits(sample, two, tmp_path):
    """What validates best comes after the interruption."""
    out = tmp_path / "parts"
    words = command(sample, out, log__checkpoint=1000)
    in_two_processes([sys.executable, "-c", INTERRUPTED, *words[3:]], 130)
    assert load_checkpoint(out).learner["updates"] == 2
    assert load_checkpoint(two).standing.best_update > 2
    alone = shutil.copytree(out, tmp_path / "alone")
    in_two_processes([*words, "--resume"])
    # One process goes on as well, with both one's students; sums are rounded otherwise.
    train([sample], alone, TrainOptions(), resume=True)
    for name, value in weights(alone).items():
        torch.testing.assert_close(value, weights(two)[name], rtol=1e-3, atol=1e-5, msg=name)
    assert load_checkpoint(out).standing == load_checkpoint(two).standing
    assert same(weights(out), weights(two))
    assert (out / BEST).read_bytes() == (two / BEST).read_bytes()
    # Each process had counted steps of a line that was not yet written.
    for line, expected in zip(history(out), history(two), strict=True):
        assert line.keys() == expected.keys()
        for name in line.keys() - {"seconds", "frames_per_second", "speed"}:
            assert line[name] == pytest.approx(expected[name], rel=1e-9), name


def test_processes_that_read_different_checkpoints_do_not_go_on_together(sample, tmp_path):
    """As where each machine has a folder of its own, of which only the first one's was written to since."""
    options = run_options(optimiser=OptimiserOptions(updates=1), validation=ValidationOptions(share=0.0))
    train([sample], tmp_path / "1", options)
    shutil.copytree(tmp_path / "1", tmp_path / "0")
    train([sample], tmp_path / "0", TrainOptions(optimiser=OptimiserOptions(updates=2)), resume=True)
    before = (tmp_path / "0" / "last.pt").read_bytes()
    line = f"exec {sys.executable} -m trainer --data {sample} --out {tmp_path}/$RANK --resume 2>&1"
    said = in_two_processes(["sh", "-c", line], 2)
    for rank, told in enumerate(said):
        assert f"different checkpoints, process {rank} that of update {2 - rank}" in " ".join(told.split())
    assert (tmp_path / "0" / "last.pt").read_bytes() == before


def history(folder):
    """What a run wrote down, line by line."""
    return [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
