"""Updates of a learner: compiled, frozen, diverging, and better in the end."""

import shutil
import sysconfig
from pathlib import Path

import pytest
import torch
from learning_runs import made, run_options
from transfer_samples import write_sample

from datasets import open_dataset
from trainer.options import EpisodeOptions, LogOptions, MachineOptions, OptimiserOptions, ValidationOptions
from trainer.student import LSTMState, StudentOptions
from trainer.train import train
from trainer.windows import open_windows

torch.set_num_threads(1)


@pytest.mark.skipif(
    not shutil.which("g++") or not Path(sysconfig.get_path("include"), "Python.h").is_file(),
    reason="torch.compile needs a C++ compiler and Python's headers on the CPU",
)
def test_a_compiled_network_learns_the_same(windows):
    plain, _ = made(windows, run_options())
    compiled, _ = made(windows, run_options(machine=MachineOptions(device="cpu", readers=1, compile=True)))
    for _ in range(3):
        plain.update()
        compiled.update()
    pairs = zip(plain.student.named_parameters(), compiled.student.parameters(), strict=True)
    for (name, a), b in pairs:
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4, msg=name)


def test_a_network_that_cannot_be_compiled_here_is_one_message(windows, tmp_path, monkeypatch):
    monkeypatch.setattr("torch._inductor.config.cpp.cxx", (None, str(tmp_path / "no-compiler")))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    torch._dynamo.reset()
    learner, _ = made(windows, run_options(machine=MachineOptions(device="cpu", readers=1, compile=True)))
    with pytest.raises(ValueError, match=r"machine.compile: .*compiler.* or leave the option away"):
        learner.update()
    torch._dynamo.reset()


def test_learning_lowers_the_loss(small_videos, tmp_path):
    path = write_sample(tmp_path, list(open_dataset(f"synthetic:{small_videos}")))[0]
    options = run_options(
        recipe="tras-gt",
        students=8,
        student=StudentOptions("tiny", 64, 64),
        optimiser=OptimiserOptions(1e-3, "none"),
    )
    learner, _ = made(open_windows([path]), options)
    lines = []
    for _ in range(4):
        for _ in range(20):
            learner.update()
        lines.append(learner.means())
    assert lines[-1]["loss/imitation"] < 0.8 * lines[0]["loss/imitation"]
    assert lines[-1]["overlap"] > lines[0]["overlap"] and lines[-1]["horizon"] == 3


@pytest.mark.parametrize("batch_norm", ["frozen", "batch"])
def test_freezing_concerns_the_normalisation_alone(windows, batch_norm):
    options = run_options(optimiser=OptimiserOptions(batch_norm=batch_norm))
    learner, _ = made(windows, options)
    learner.student.eval()  # as a validation leaves it
    learner.update()
    # cuDNN refuses the LSTM's way back outside of training mode
    assert learner.student.lstm.training and learner.student.backbone.training == (batch_norm == "batch")


def test_divergence_is_told(windows):
    learner, _ = made(windows, run_options())
    learner.update()
    with torch.no_grad():
        learner.student.critic.bias[0] = float("nan")
    learner.update()
    with pytest.raises(ValueError, match="diverged: before update 2 a loss"):
        learner.means()
    with torch.no_grad():
        learner.student.actor.bias[0] = float("nan")
    with pytest.raises(ValueError, match="diverged: after update 2 an action"):
        learner.update()


@pytest.mark.parametrize("average", [0.0, 0.5])
def test_any_weight_that_is_no_number_is_found(windows, average):
    learner, _ = made(windows, run_options(optimiser=OptimiserOptions(average=average)))
    learner.check()
    for weight in learner.result.parameters():
        kept = weight.detach().clone()
        with torch.no_grad():
            weight.flatten()[-1] = float("inf")
        with pytest.raises(ValueError, match="diverged: after update 0 a weight"):
            learner.check()
        with torch.no_grad():
            weight.copy_(kept)
    learner.check()


@pytest.mark.parametrize("recipe", ["tras-kd", "judge"])
@pytest.mark.parametrize("share", [0.0, 0.4])
def test_a_run_that_diverges_is_told_and_keeps_nothing(sample, tmp_path, recipe, share):
    """Of a judge, whose actions nobody takes, nothing else would tell: its boxes are teachers'."""
    options = run_options(
        recipe=recipe,
        optimiser=OptimiserOptions(learning_rate=1e30, scaling="none", updates=8),
        validation=ValidationOptions(share=share, every=3),
        log=LogOptions(every=1000, checkpoint=4),
    )
    with pytest.raises(ValueError, match=r"learning diverged: .*optimiser.clip_gradient"):
        train([sample], tmp_path, options)
    assert not list(tmp_path.glob("*.*t*"))


def test_an_update_leaves_memories_without_the_graph_of_its_steps(windows):
    learner, now = made(windows, run_options())
    learner.update()
    assert isinstance(now.memory, LSTMState) and not any(part.requires_grad for part in now.memory)


@pytest.mark.parametrize("memory", ["carried", "fresh"])
def test_an_update_carries_the_memory_on_or_not(windows, memory):
    options = run_options(recipe="tras-no-curr", episode=EpisodeOptions(memory=memory))
    learner, now = made(windows, options)
    learner.update()
    assert any(bool(part.any()) for part in now.memory) == (memory == "carried")
