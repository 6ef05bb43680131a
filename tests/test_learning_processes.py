"""What the processes of torchrun tell each other: two of them, over gloo."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch
from conftest import REPOSITORY
from torch import nn

from trainer.processes import is_first, join

PEER = """
import json
from pathlib import Path

import torch
from torch import nn

from trainer.processes import is_first, join

mine = join("cpu")
weights = [nn.Parameter(torch.zeros(2, 3)), nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(4))]


def gradients(flag):
    weights[0].grad = torch.arange(6.0).view(2, 3) * (mine.rank + 1)
    weights[1].grad = torch.full((2,), 10.0 ** mine.rank)
    stop = mine.sum_gradients(weights, flag)
    return [weights[0].grad.tolist(), weights[1].grad.tolist(), weights[2].grad, stop]


own = torch.tensor([1.0, mine.rank])
found = {
    "who": [mine.rank, mine.count, mine.first, is_first()],
    "nobody stops": gradients(False),
    "the second stops": gradients(mine.rank == 1),
    "both stop": gradients(True),
    "sum": mine.sum(own).tolist(),
    "own": own.tolist(),
    "any": [mine.any(False), mine.any(mine.rank == 1), mine.any(True)],
    "gather": mine.gather({"rank": mine.rank}),
    "agree": mine.agree(["of the first", "of the second"][mine.rank]),
}
mine.leave()
assert not torch.distributed.is_initialized()
Path(f"{mine.rank}.json").write_text(json.dumps(found))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What both processes saw, by rank."""
    folder = tmp_path_factory.mktemp("told")
    (folder / "peer.py").write_text(PEER)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)}
    run = subprocess.run(
        [*torchrun, "peer.py"], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]


def test_they_know_who_they_are(told):
    assert [each["who"] for each in told] == [[0, 2, True, True], [1, 2, False, False]]


def test_gradients_are_summed_in_place_and_one_flag_stops_all(told):
    summed = [[[0, 3, 6], [9, 12, 15]], [11, 11], None]
    for each in told:
        assert each["nobody stops"] == [*summed, False]
        assert each["the second stops"] == [*summed, True]
        assert each["both stop"] == [*summed, True]


def test_sums_leave_what_was_given(told):
    assert [each["sum"] for each in told] == [[2, 1]] * 2
    assert [each["own"] for each in told] == [[1, 0], [1, 1]]
    assert [each["any"] for each in told] == [[False, True, True]] * 2


def test_the_first_gathers_and_decides(told):
    assert [each["gather"] for each in told] == [[{"rank": 0}, {"rank": 1}], []]
    assert [each["agree"] for each in told] == ["of the first"] * 2


def test_one_alone_needs_no_group(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    alone = join("auto" if not torch.cuda.is_available() else "cpu")
    assert (alone.rank, alone.count, alone.first, is_first()) == (0, 1, True, True)
    assert alone.device == torch.device("cpu")
    weight = nn.Parameter(torch.zeros(2))
    weight.grad = torch.ones(2)
    assert [alone.sum_gradients([weight], flag) for flag in (False, True)] == [False, True]
    assert weight.grad.tolist() == [1, 1]
    assert alone.sum(torch.tensor([3.0])).tolist() == [3]
    assert [alone.any(False), alone.any(True)] == [False, True]
    assert alone.gather("mine") == ["mine"]
    assert alone.agree("mine") == "mine"
    alone.leave()
