"""Where the work of a stage is done: in this process, in local processes, on a Dask scheduler or a job queue.

Results come back in the order in which they are ready; every stage puts them in the dataset's order itself, so no
output depends on the number of workers.
"""

from __future__ import annotations

import logging
import signal
import textwrap
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from itertools import islice
from multiprocessing import resource_tracker
from typing import Any, Protocol, TypeVar

from datasets.command_line import progress
from datasets.errors import DataError
from datasets.processes import cores
from pipeline import places
from pipeline.params import ExecutorParams

AHEAD = 4
"""Items handed to the cluster for each thread: the next one is there when a worker gets free."""

MINIMUM_AHEAD = 64
"""Items handed out at least: those that the first workers of a job queue find when they report."""

ATTEMPTS = 4
"""Processes that an item may kill, all alone on the cluster, before it is given up: memory may have been short."""

_LOCAL = {
    # Dask has its workers give every freed kilobyte back to the system, which suits tables; a worker that decodes
    # images then waits for fresh pages at every frame (kcf on 205 clips: 13.4 s, and 10.3 s with these lines).
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": str(1 << 29),
    "distributed.nanny.pre-spawn-environ.MALLOC_MMAP_THRESHOLD_": str(1 << 28),
    # The sampling of every worker's stack, a hundred times a second.
    "distributed.worker.profile.enabled": False,
    # A process that died is forgotten where its successor has not reported by then: see `_keep`.
    "distributed.deploy.lost-worker-timeout": "30s",
}

CHECK = 5.0
"""Seconds between looks at whether a local cluster has processes at all."""

Item = TypeVar("Item")
Result = TypeVar("Result")


class Run(Protocol):
    """Applies a function to many items somewhere."""

    def __call__(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        weights: Sequence[int],
        label: str,
        unit: str,
        lost: Callable[[Item, str], Result] | None = None,
    ) -> Iterator[tuple[int, Result]]:
        """Give (number of the item, result) as each gets ready, begun in the order given, with a progress bar.

        Args:
            function: Importable by the workers, and free of side effects: a lost worker's items run again.
            items: What to apply it to.
            weights: What each item counts for, in `unit`s.
            label: The progress bar's title.
            unit: What the weights count ("frames").
            lost: Makes the result, from the item and a message, of an item that kills the worker process that
                tries it (a crash in a tracker's native code, memory), even with no other under way; None: that ends
                the run.

        Raises:
            ValueError: If an item kills its process and `lost` is None.
        """
        ...


@contextmanager
def executor(
    params: ExecutorParams, tasks: int | None = None, threads: int = 1, apart: bool = False
) -> Iterator[Run]:
    """Give a `Run` for the place that the parameters name.

    Args:
        params: The section `executor` of params.yaml.
        tasks: How many items there will be, where known: no more processes than items are started, and none
            for a single one. Where there are none, no cluster is asked for anything.
        threads: Items that a local process works on at once, each in a thread of its own. Workers elsewhere have
            as many as they were started with.
        apart: Whether there has to be a process, even for a single item.

    Raises:
        DataError: If a scheduler does not answer, or dask-jobqueue or its cluster class is missing.
    """
    if params.scheduler is None and params.job_queue is None:
        workers = min(params.workers or cores(), -(-tasks // threads) if tasks is not None else 2**31)
        nearby = workers <= 1 and not apart
    else:
        workers, nearby = 0, False
    if nearby or tasks == 0:
        yield _here
        return
    with ExitStack() as stack:
        yield partial(_on, _client(params, max(workers, 1), threads, stack))


def _here(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    weights: Sequence[int],
    label: str,
    unit: str,
    lost: Callable[[Item, str], Result] | None = None,
) -> Iterator[tuple[int, Result]]:
    """Run everything in this process."""
    with progress(unit) as bar:
        task = bar.add_task(label, total=sum(weights))
        for number, item in enumerate(items):
            yield number, function(item)
            bar.advance(task, weights[number])


def _on(
    client: Any,  # noqa: ANN401 - distributed has no types
    function: Callable[[Item], Result],
    items: Sequence[Item],
    weights: Sequence[int],
    label: str,
    unit: str,
    lost: Callable[[Item, str], Result] | None = None,
) -> Iterator[tuple[int, Result]]:
    """Run everything on a Dask cluster, with few items under way at once: memory stays flat over a long run.

    Of the items that a dead process had been given, queued ones included, nobody knows which one killed it. All of
    them come back. No other item is begun until those under way are done and these are tried, one after the other: a
    stage that needs results in their order holds back no more than what is under way.
    """
    from distributed import KilledWorker, as_completed

    waiting = enumerate(items)
    numbers: dict[str, int] = {}

    def submitted() -> list[Any]:
        """What there is room for; workers of a job queue may have come since the last time, or gone."""
        room = max(AHEAD * sum(client.nthreads().values()), MINIMUM_AHEAD) - len(numbers)
        futures = []
        for number, item in islice(waiting, max(room, 0)):
            future = client.submit(function, item, pure=False)
            numbers[future.key] = number
            futures.append(future)
        return futures

    with progress(unit) as bar:
        task = bar.add_task(label, total=sum(weights))
        while futures := submitted():
            completed = as_completed(futures)
            suspects = []
            for future in completed:
                number = numbers.pop(future.key)
                try:
                    result = future.result()
                except KilledWorker:
                    suspects.append(number)
                    continue
                if not suspects:
                    completed.update(submitted())
                yield number, result
                bar.advance(task, weights[number])
            for number in suspects:
                try:
                    result = _alone(client, function, items[number])
                except KilledWorker as error:
                    died = f"the worker process died, {ATTEMPTS} times over"
                    if lost is None:
                        item = textwrap.shorten(repr(items[number]), 300)
                        raise ValueError(
                            f"{label}: {died}, of {item}. Memory may be short (executor.workers 1 needs least), or a "
                            "file crashes what reads it"
                        ) from error
                    result = lost(items[number], died)
                yield number, result
                bar.advance(task, weights[number])


def _alone(
    client: Any,  # noqa: ANN401 - distributed has no types
    function: Callable[[Item], Result],
    item: Item,
) -> Any:  # noqa: ANN401 - a Result, of which distributed knows nothing
    """Run one item while nothing else runs: a process that dies now dies of it."""
    from distributed import KilledWorker

    for _ in range(ATTEMPTS - 1):
        with suppress(KilledWorker):
            return client.submit(function, item, pure=False).result()
    return client.submit(function, item, pure=False).result()


def _client(params: ExecutorParams, workers: int, threads: int, stack: ExitStack) -> Any:  # noqa: ANN401 - distributed has no types
    """Start or reach the cluster that the parameters name, until the stack closes."""
    import dask
    from distributed import Client, LocalCluster

    # Dask would try again what may not have been at fault, beside others that then come under suspicion.
    stack.enter_context(dask.config.set({**_LOCAL, "distributed.scheduler.allowed-failures": 0}))
    logging.getLogger("distributed").setLevel(logging.ERROR)
    if params.scheduler is not None:
        try:
            return stack.enter_context(Client(params.scheduler, timeout=10))
        except (OSError, ValueError) as error:
            raise DataError(
                places.PARAMS,
                f"executor.scheduler = {params.scheduler!r} does not answer ({error})",
                "Start `dask scheduler` there, or set it to null to work on this machine",
            ) from error
    if params.job_queue is not None:
        cluster = stack.enter_context(_job_queue(params))
        cluster.scale(jobs=params.job_queue.jobs)
    else:
        # Usually one thread per process: OpenCV, NumPy and the trackers would fight over the cores otherwise.
        with _unheard_by_others():
            cluster = stack.enter_context(
                LocalCluster(
                    n_workers=workers,
                    threads_per_worker=threads,
                    processes=True,
                    dashboard_address=":0",
                    memory_limit=0,
                    silence_logs=logging.CRITICAL,
                )
            )
        _keep(cluster, workers, stack)
    return stack.enter_context(Client(cluster))


@contextmanager
def _unheard_by_others() -> Iterator[None]:
    """Block Ctrl-C in the threads that the block starts, and so in all processes that those ever start.

    A terminal sends it to all of them, and each would end with a traceback beside this process's one line. Here it
    counts when the block ends: whoever starts processes then knows all that are to be ended.
    """
    resource_tracker.ensure_running()  # it would be started with the first process, and unblock the signal
    heard: list[int] = []
    handler = None
    if threading.current_thread() is threading.main_thread():
        # An older thread, which does not block it, may be handed it; Python then answers in this one all the same.
        handler = signal.signal(signal.SIGINT, lambda number, _frame: heard.append(number))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if handler is not None:
            signal.signal(signal.SIGINT, handler)
        if heard:
            signal.raise_signal(signal.SIGINT)


def _keep(cluster: Any, workers: int, stack: ExitStack) -> None:  # noqa: ANN401 - distributed has no types
    """Give a local cluster its processes again whenever none is left, until the stack closes.

    Dask starts a process anew that dies, but not one that dies while it is being started, and it forgets one that
    is slow to come back on a busy machine. Without any, a run would wait forever.
    """
    over = threading.Event()

    def watch() -> None:
        while not over.wait(CHECK):
            if not cluster.scheduler_info["workers"]:
                cluster.scale(workers)  # starts those that were forgotten, and nothing else

    thread = threading.Thread(target=watch, name="keep", daemon=True)
    thread.start()
    stack.callback(thread.join)
    stack.callback(over.set)


def _job_queue(params: ExecutorParams) -> Any:  # noqa: ANN401 - dask-jobqueue has no types
    queue = params.job_queue
    assert queue is not None
    try:
        import dask_jobqueue
    except ImportError as error:
        raise DataError(
            places.PARAMS,
            "executor.job_queue needs dask-jobqueue, which is not installed",
            "pip install '.[cluster]'",
        ) from error
    known = sorted(name for name in vars(dask_jobqueue) if name.endswith("Cluster"))
    if queue.cluster not in known:
        raise DataError(
            places.PARAMS,
            f"executor.job_queue.cluster = {queue.cluster!r} is unknown",
            f"Use one of {', '.join(known)}",
        )
    return getattr(dask_jobqueue, queue.cluster)(**queue.options)
