"""Where the work is done: here, in local processes, on a scheduler that runs elsewhere."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY
from distributed import LocalCluster, default_client

from datasets.errors import DataError
from pipeline.executor import _LOCAL, AHEAD, ATTEMPTS, MINIMUM_AHEAD, executor
from pipeline.params import ExecutorParams


def square(number: int) -> tuple[int, int]:
    """The square, and who computed it."""
    return number * number, os.getpid()


def answers(params: ExecutorParams, count: int, tasks: int | None = None) -> list[tuple[int, int]]:
    with executor(params, tasks) as run:
        found = dict(run(square, list(range(count)), [1] * count, "square", "numbers"))
    return [found[number] for number in range(count)]


def test_one_worker_or_one_task_works_in_this_process():
    for params, count, tasks in (
        (ExecutorParams(workers=1), 3, 3),
        (ExecutorParams(workers=4), 1, 1),
        (ExecutorParams(), 0, 0),
    ):
        assert answers(params, count, tasks) == [(n * n, os.getpid()) for n in range(count)]


@pytest.mark.parametrize("count", [3, 200])
def test_two_workers_share_the_work(count):
    found = answers(ExecutorParams(workers=2), count, count)
    assert [value for value, _ in found] == [n * n for n in range(count)]
    processes = {process for _, process in found}
    assert os.getpid() not in processes
    assert len(processes) <= 2


def test_a_running_scheduler_is_used():
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0", memory_limit=0) as cluster:
        found = answers(ExecutorParams(scheduler=cluster.scheduler_address), 70)
    assert [value for value, _ in found] == [n * n for n in range(70)]
    assert os.getpid() not in {process for _, process in found}


def test_a_scheduler_that_does_not_answer_is_named():
    with (
        pytest.raises(DataError, match=r"executor\.scheduler = 'tcp://127\.0\.0\.1:1' does not answer"),
        executor(ExecutorParams(scheduler="tcp://127.0.0.1:1")),
    ):
        pass


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"scheduler": "tcp://127.0.0.1:1"},
        {"job_queue": {"cluster": "CloudCluster", "jobs": 1}},
        {"workers": 2},
    ],
)
def test_where_there_is_nothing_to_do_no_cluster_is_asked_for(elsewhere):
    """Else a stage whose videos are all in the journal would wait for a queue, or fail without its scheduler."""
    with executor(ExecutorParams.model_validate(elsewhere), 0, apart=True) as run:
        assert list(run(square, [], [], "square", "numbers")) == []
        with pytest.raises(ValueError, match="No clients"):
            default_client()


def test_workers_that_come_while_it_runs_are_given_work():
    """As those of a job queue do: none is there when the run begins."""
    with (
        LocalCluster(
            n_workers=0, threads_per_worker=40, processes=False, dashboard_address=":0", memory_limit=0
        ) as cluster,
        executor(ExecutorParams(scheduler=cluster.scheduler_address)) as run,
    ):
        found = run(square, list(range(400)), [1] * 400, "square", "numbers")
        cluster.scale(1)
        next(found)
        assert len(default_client().futures) >= AHEAD * 40
        assert len(list(found)) == 399


def test_a_job_queue_without_its_package_or_of_an_unknown_kind_says_what_to_do():
    params = ExecutorParams.model_validate({"job_queue": {"cluster": "CloudCluster", "jobs": 1}})
    with (
        pytest.raises(DataError, match=r"executor\.job_queue.*(pip install '\.\[cluster\]'|Use one of)"),
        executor(params),
    ):
        pass


def neighbours(count: int, deadly: int, marker: str) -> list[int | str]:
    """What comes back where one item kills its process, in the order of the items."""
    with executor(ExecutorParams(workers=1), count, apart=True) as run:
        items = [(number, marker, number == deadly) for number in range(count)]
        found = dict(run(fatal, items, [1] * count, "fatal", "numbers", lambda item, message: message))
    return [found[number] for number in range(count)]


def fatal(item: tuple[int, str, bool]) -> int | str:
    """The number, unless the item is deadly: then the process dies, once where there is a marker to leave."""
    number, marker, deadly = item
    if deadly and not (marker and Path(marker).exists()):
        if marker:
            Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


@pytest.mark.parametrize("deadly", [0, 3, 9])
def test_who_kills_its_process_is_lost_alone_whoever_was_queued_behind_it(deadly):
    found = neighbours(10, deadly, "")
    assert found[deadly] == f"the worker process died, {ATTEMPTS} times over"
    assert [n for n in found if n != found[deadly]] == [n for n in range(10) if n != deadly]


def test_who_came_back_is_tried_before_others_are_begun():
    """Else a stage that writes in order would hold back all that comes after it: at GOT-10k's size, gigabytes."""
    with executor(ExecutorParams(workers=1), 100, apart=True) as run:
        items = [(number, "", number == 0) for number in range(100)]
        found = run(fatal, items, [1] * 100, "fatal", "numbers", lambda item, message: message)
        order = [number for number, _ in found]
    assert order.index(0) < MINIMUM_AHEAD
    assert sorted(order) == list(range(100))


def test_where_no_item_may_be_lost_the_one_that_kills_its_process_is_named():
    with (
        executor(ExecutorParams(workers=1), 1, apart=True) as run,
        pytest.raises(
            ValueError, match=rf"fatal: the worker process died, {ATTEMPTS} times over, of \(7, '', True\)"
        ),
    ):
        list(run(fatal, [(7, "", True)], [1], "fatal", "numbers"))


def test_a_death_that_does_not_repeat_costs_nothing(tmp_path):
    assert neighbours(6, 2, str(tmp_path / "marker")) == list(range(6))
    with executor(ExecutorParams(workers=1), 3, apart=True) as run:
        items = [(number, str(tmp_path / "other"), number == 1) for number in range(3)]
        assert sorted(run(fatal, items, [1] * 3, "fatal", "numbers")) == [(0, 0), (1, 1), (2, 2)]


def test_a_cluster_without_any_process_gets_one_again(monkeypatch):
    monkeypatch.setattr("pipeline.executor.CHECK", 0.2)
    monkeypatch.setitem(_LOCAL, "distributed.deploy.lost-worker-timeout", "500ms")
    with executor(ExecutorParams(workers=1), 2, apart=True) as run:
        cluster = default_client().cluster
        (nanny,) = cluster.workers.values()
        cluster.sync(
            nanny.close
        )  # as where its process died while it was being started: nobody starts another
        found = dict(run(square, [2, 3], [1, 1], "square", "numbers"))
    assert [found[n][0] for n in range(2)] == [4, 9]


def hears_ctrl_c(item: tuple[int, str, bool]) -> bool:
    """Whether this process, or what it starts, would hear it; a deadly item dies as in `fatal`."""
    fatal(item)
    return signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_ctrl_c_is_left_to_the_process_that_started_the_workers(tmp_path):
    """Else each of them, if it hears it before it is ended, writes a traceback beside the one line "interrupted"."""
    items = [
        (number, str(tmp_path / "marker"), number == 1) for number in range(4)
    ]  # one process is a second one
    with executor(ExecutorParams(workers=2), 4) as run:
        found = dict(run(hears_ctrl_c, items, [1] * 4, "ask", "items"))
    assert (tmp_path / "marker").exists()
    assert not any(found.values())
    assert hears_ctrl_c((0, "", False))


INTERRUPTED = """
import os, signal, threading
from dataclasses import dataclass
import distributed
from datasets.command_line import run_only_command
from pipeline.executor import executor
from pipeline.params import ExecutorParams

@dataclass(frozen=True)
class Start:
    \"\"\"Start.\"\"\"
    def run(self):
        threading.Timer(AFTER, os.killpg, (0, signal.SIGINT)).start()
        with executor(ExecutorParams(workers=2), 2):
            threading.Event().wait(60)

# A shell's background job, as the tests may be, ignores it and hands that on.
signal.signal(signal.SIGINT, signal.default_int_handler)
raise SystemExit(run_only_command(Start, "program", []))
"""


@pytest.mark.parametrize("after", [0.01, 0.5, 1.5])
def test_ctrl_c_while_the_workers_start_is_one_line_and_leaves_none(after):
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED.replace("AFTER", str(after))],
        cwd=REPOSITORY,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        _, err = process.communicate(timeout=60)  # ends when all who have the pipe are gone
    assert (process.returncode, err) == (130, "program: interrupted\n")
