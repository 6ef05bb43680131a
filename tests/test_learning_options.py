"""The options of a run: stored, taken back, named when resuming, and refused where they make no sense."""

import dataclasses
import json
import shutil
import sys

import pytest
import torch
from conftest import REPOSITORY
from learning_runs import run_options

from datasets.command_line import run_only_command
from datasets.errors import DataError
from trainer import logs
from trainer.__main__ import Train
from trainer.checkpoint import load_checkpoint
from trainer.options import (
    EpisodeOptions,
    LogOptions,
    LossOptions,
    MachineOptions,
    OptimiserOptions,
    TrainOptions,
    ValidationOptions,
)
from trainer.saved_options import as_json, from_json, resumed
from trainer.train import train

torch.set_num_threads(1)


def test_options_survive_json_and_resumption_takes_only_what_may_change(tmp_path):
    stored = run_options(init=tmp_path / "x.safetensors")
    assert from_json(json.loads(json.dumps(as_json(stored))), tmp_path) == stored
    minutes = dataclasses.replace(
        TrainOptions(), optimiser=OptimiserOptions(minutes=3), log=LogOptions(every=7)
    )
    found = resumed(stored, minutes)
    assert found.optimiser.minutes == 3 and found.log == LogOptions(every=7, checkpoint=2)
    assert found.optimiser.learning_rate == 1e-2 and found.machine == stored.machine
    with pytest.raises(ValueError, match=r"students 4 -> 8; loss.gamma 1.0 -> 0.5"):
        resumed(stored, TrainOptions(students=8, loss=LossOptions(gamma=0.5)))
    more = TrainOptions(optimiser=OptimiserOptions(updates=30))
    assert resumed(stored, more).optimiser == dataclasses.replace(stored.optimiser, updates=30)
    decaying = run_options(optimiser=dataclasses.replace(stored.optimiser, decay="linear"))
    with pytest.raises(ValueError, match=r"optimiser.updates 8 -> 30"):
        resumed(decaying, more)
    with pytest.raises(DataError, match=r"not those of this version \(recipe: Input should be .*\)"):
        from_json({"recipe": "other"}, tmp_path)
    newer = as_json(stored)
    newer["loss"]["entropy"] = 0.1
    with pytest.raises(DataError, match=r"options that this version does not have \(loss.entropy\)"):
        from_json(newer, tmp_path)


def test_a_resumed_run_takes_a_default_that_is_named(sample, straight, tmp_path, monkeypatch, capsys):
    shutil.copytree(straight, tmp_path / "a")
    words = ["trainer", "--data", str(sample), "--out", str(tmp_path / "a"), "--resume", "--json"]

    def resume(*more):
        monkeypatch.setattr(sys, "argv", [*words, *more])
        code = run_only_command(Train, "python -m trainer", pairs=True)
        return code, capsys.readouterr()

    code, printed = resume("--students", "24", "--loss.gamma=1.0", "--loss.clip-targets")
    assert code == 2 and "given anew: students 4 -> 24." in printed.err
    code, printed = resume("--optimiser.updates", "1000000", "--optimiser.minutes", "0", "--log.every", "100")
    assert code == 0 and json.loads(printed.out)["ending"] == "minutes"
    options = load_checkpoint(tmp_path / "a").options
    assert options.optimiser.updates == 10**6 and options.log == LogOptions(every=100, checkpoint=2)
    assert options.validation.patience is None  # at its default, 10, and not named


def test_what_a_run_began_with_can_be_taken_back(sample, tmp_path, monkeypatch):
    train([sample], tmp_path / "a", run_options(machine=MachineOptions(device="cpu", threads=1)))
    # As a run that began with TensorBoard leaves it, where that need not be installed.
    path = tmp_path / "a" / "last.pt"
    content = torch.load(path, weights_only=True)
    content["options"]["log"]["tensorboard"] = True
    torch.save(content, path)
    words = (
        f"trainer --data {sample} --out {tmp_path / 'a'} --resume --optimiser.updates 9 --log.no-tensorboard"
    )
    monkeypatch.setattr(sys, "argv", [*words.split(), "--machine.threads", "None"])
    assert run_only_command(Train, "python -m trainer", pairs=True) == 0
    options = load_checkpoint(tmp_path / "a").options
    assert (options.log.tensorboard, options.machine.threads, options.optimiser.updates) == (False, None, 9)


@pytest.mark.parametrize("group", ["student", "episode", "loss", "curriculum", "optimiser", "validation"])
def test_every_choice_is_in_the_page_of_deviations(group):
    page = (REPOSITORY / "docs/deviations.md").read_text()
    names = [f.name.replace("_", "-") for f in dataclasses.fields(getattr(TrainOptions(), group))]
    names = [name for name in names if name not in {"updates", "minutes"}]  # when a user has had enough
    assert [
        name for name in names if f"`{group}.{name}" not in page and f"`--{group}.{name}" not in page
    ] == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"students": 3}, "students is 3, and has to be a multiple of 2"),
        ({"recipe": "judge", "validation": ValidationOptions(videos="otb:x")}, "validation.videos is otb:x"),
        ({"loss": LossOptions(tries=-1)}, "loss.tries is -1"),
        ({"loss": LossOptions(advantage="immediate")}, "loss.tries is 0, and has to be at least 1"),
        ({"episode": EpisodeOptions(drift=-0.1)}, "episode.drift is -0.1"),
        ({"segment": 0}, "segment is 0"),
        ({"validation": ValidationOptions(share=1.0)}, "validation.share is 1.0"),
        ({"optimiser": OptimiserOptions(learning_rate=-1)}, "optimiser.learning_rate is -1"),
        ({"optimiser": OptimiserOptions(learning_rate=float("inf"))}, "rate is inf, and has to be finite"),
        ({"episode": EpisodeOptions(shake=float("inf"))}, "episode.shake is inf, and has to be finite"),
        ({"optimiser": OptimiserOptions(critic_rate=0)}, "optimiser.critic_rate is 0"),
        ({"loss": LossOptions(value_weight=-1)}, "loss.value_weight is -1"),
        ({"optimiser": OptimiserOptions(clip_gradient=0)}, "optimiser.clip_gradient is 0"),
        ({"validation": ValidationOptions(patience=0)}, "validation.patience is 0"),
        ({"loss": LossOptions(weight_decay=-1)}, "loss.weight_decay is -1"),
    ],
)
def test_wrong_options_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        run_options(**changes)


def test_wrong_options_of_the_command_line_are_one_line(tmp_path, capsys):
    words = ["--data", "a.h5", "--out", str(tmp_path / "a"), "--students", "3"]
    with pytest.raises(SystemExit) as ended:
        run_only_command(Train, "python -m trainer", words)
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert (
        said
        == "python -m trainer: students is 3, and has to be a multiple of 2, the roles of the recipe tras\n"
    )


def test_logs_that_are_not_installed_are_named(tmp_path, monkeypatch):
    def absent(name):
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(logs.importlib, "import_module", absent)
    with pytest.raises(ValueError, match=r"log.dvclive needs the package dvclive.*\[logs\]"):
        logs.Logs(tmp_path, LogOptions(dvclive=True), 0, {})
