"""Pools of worker processes."""

import os
import time
from multiprocessing import active_children

import pytest
import torch

from datasets.processes import worker_processes


def test_workers_compute_with_one_thread_and_the_environment_stays(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    with worker_processes(1) as pool:
        assert pool.submit(torch.get_num_threads).result() == 1
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            assert pool.submit(os.getenv, name).result() == "1"
    assert os.environ["OMP_NUM_THREADS"] == "2"
    assert "OPENBLAS_NUM_THREADS" not in os.environ


@pytest.mark.parametrize("reason", [KeyboardInterrupt, ValueError])
def test_workers_end_at_once_where_nobody_waits_for_them(reason):
    def interrupted():
        with worker_processes(2) as pool:
            assert pool.submit(abs, -1).result() == 1
            for _ in range(6):
                pool.submit(time.sleep, 60)
            raise reason

    began = time.monotonic()
    with pytest.raises(reason):
        interrupted()
    assert time.monotonic() - began < 30
    assert not active_children()


def test_whoever_worked_before_goes_on():
    def interrupted():
        with worker_processes(1) as inner:
            assert inner.submit(abs, -1).result() == 1
            raise ValueError

    with worker_processes(1) as outer:
        assert outer.submit(abs, -1).result() == 1
        with pytest.raises(ValueError):
            interrupted()
        assert outer.submit(abs, -2).result() == 2
