"""TensorBoard's and DVCLive's files of a run that died and was resumed from an earlier checkpoint."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from learning_runs import run_options

from trainer.learner import Learner
from trainer.options import LogOptions, TrainOptions
from trainer.train import train

torch.set_num_threads(1)
DIED, UPDATES = 7, 8


def in_two_parts(sample, out, **logs):
    """A run that wrote down update 7, died, and went on from update 4; by name, what it says of each update."""
    real = Learner.update

    def dying(self, stop=False):
        if self.updates == DIED:
            raise MemoryError("as good as a kill: nothing is saved")
        return real(self, stop)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Learner, "update", dying)
        with pytest.raises(MemoryError):
            train([sample], out, run_options(log=LogOptions(every=1, checkpoint=4, **logs)))
    assert train([sample], out, TrainOptions(), resume=True).updates == UPDATES
    values = {}
    for line in map(json.loads, (out / "history.jsonl").read_text().splitlines()):
        update = line.pop("update")
        for name, value in line.items():
            values.setdefault(name, []).append((update, pytest.approx(value, rel=1e-6)))
    assert [update for update, _ in values["loss/value"]] == list(range(1, UPDATES + 1))
    assert [update for update, _ in values["validation/ao"]] == [3, 6]
    return values


def test_tensorboard_shows_every_value_once(sample, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    values = in_two_parts(sample, tmp_path / "a", tensorboard=True)
    events = EventAccumulator(str(tmp_path / "a" / "tensorboard"))
    events.Reload()
    found = {name: [(e.step, e.value) for e in events.Scalars(name)] for name in events.Tags()["scalars"]}
    assert found == values


DIES = """
import os, sys
from pathlib import Path
from trainer.logs import Logs
from trainer.options import LogOptions

logs = Logs(Path(sys.argv[1]), LogOptions(tensorboard=True), 0, {})
for update in range(500):
    logs.write(update, {"loss/value": 0.5})
logs.flush()
os._exit(9)
"""


def test_what_a_killed_run_had_flushed_can_be_read(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert subprocess.run([sys.executable, "-c", DIES, str(tmp_path)], check=False).returncode == 9
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert len(events.Scalars("loss/value")) == 500


def dvc(folder, *words):
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *words], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def repository(sample, tmp_path_factory):
    """A Git repository with DVC, the run in its runs/a, and what that says of each update."""
    pytest.importorskip("dvclive")
    root = tmp_path_factory.mktemp("repository")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_NO_ANALYTICS", "1")
        patch.chdir(root)
        for words in ("init -q", "config user.name nobody", "config user.email nobody@localhost"):
            subprocess.run(["git", *words.split()], check=True)
        dvc(root, "init", "-q")
        subprocess.run(["git", "commit", "-q", "-m", "first"], check=True)
        yield root, in_two_parts(sample, Path("runs/a"), dvclive=True)


def test_dvclive_holds_every_value_once(repository):
    root, values = repository
    tables = root / "runs/a/dvclive/plots/metrics"
    found = {}
    for path in tables.rglob("*.tsv"):
        name = path.relative_to(tables).with_suffix("").as_posix()
        (step, column), *rows = (line.split("\t") for line in path.read_text().splitlines())
        assert (step, column) == ("step", path.stem)
        found[name] = [(int(update), float(value)) for update, value in rows]
    assert found == values
    last = json.loads((root / "runs/a/dvclive/metrics.json").read_text())
    assert last.pop("step") == UPDATES
    for name, told in values.items():
        group, _, member = name.rpartition("/")
        assert (last[group][member] if group else last[member]) == told[-1][1]


def test_dvclive_names_its_files_once(repository):
    named = yaml.safe_load((repository[0] / "runs/a/dvclive/dvc.yaml").read_text())
    assert named == {
        "params": ["params.yaml"],
        "metrics": ["metrics.json"],
        "plots": [{"plots/metrics": {"x": "step"}}],
    }


def curve(shown, path):
    (plot,) = json.loads(shown)["data"][path]
    return [(int(row["step"]), float(row["ao"])) for row in plot["content"]["data"]["values"]]


def test_dvc_shows_the_run(repository, tmp_path):
    root, values = repository
    experiments = next(row for row in json.loads(dvc(root, "exp", "show", "--json")) if row["experiments"])
    shown = [each["revs"][0]["data"] for each in experiments["experiments"]]
    ends = [data["metrics"]["runs/a/dvclive/metrics.json"]["data"] for data in shown]
    (end,) = (n for n, metrics in enumerate(ends) if metrics["step"] == UPDATES)
    assert ends[end]["validation"]["ao"] == values["validation/ao"][-1][1]
    params = shown[end]["params"]["runs/a/dvclive/params.yaml"]["data"]
    assert (params["students"], params["student"]["backbone"]) == (4, "tiny")
    table = "runs/a/dvclive/plots/metrics/validation/ao.tsv"
    assert curve(dvc(root, "plots", "show", "--json"), table) == values["validation/ao"]
    shutil.copytree(root / "runs", tmp_path / "runs")  # to where there is no repository
    elsewhere = dvc(tmp_path, "plots", "show", "--json", "runs/a/dvclive/dvc.yaml")
    assert curve(elsewhere, table) == values["validation/ao"]
