"""A worker seen from the project: a process that answers questions, within a time limit, or dies and says how.

It leads a group of its own, and the processes that a tracker starts are in it: they end with it. Where this process is
killed, the worker, which reads that from its pipe, ends the group itself. (The system's own means, PR_SET_PDEATHSIG,
would end it with the thread that started it, and would not reach what a tracker started.)
"""

from __future__ import annotations

import mmap
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from teachers.external.checkout_worker.channel import Message, packed, unpacked

if TYPE_CHECKING:
    from teachers.base import Image

LAST_LINES = 30
"""Lines of the worker's stderr that are kept for an error."""

LOOK = 1.0
"""Seconds of silence after which it is seen whether the process lives: what a tracker forks may hold its pipes open."""

_BEGIN = (
    "import sys; sys.path.append(sys.argv[1]); from checkout_worker.loop import main; sys.path.pop(); main()"
)


class WorkerLostError(RuntimeError):
    """The worker died or was ended because it did not answer.

    Args:
        what: What became of it: "died of SIGSEGV".
        last_words: The end of what it wrote to stderr.
        left: Whether it left by itself, because nobody had asked it for anything.
    """

    def __init__(self, what: str, last_words: str, left: bool = False) -> None:
        super().__init__(what)
        self.what, self.last_words, self.left = what, last_words, left


class Worker:
    """A process that runs `checkout_worker`; it ends when this process does, or `close` is called.

    Args:
        python: The interpreter.
        threads: How many threads its numeric libraries may use.
        patience: Seconds after which a worker that does not answer is ended.

    Raises:
        OSError: If the interpreter cannot be started.
    """

    def __init__(self, python: Path, threads: int, patience: float) -> None:
        self._patience = patience
        self._frames = _shared_memory()
        self._map: mmap.mmap | None = None
        self._received = b""
        self._over = False
        self._stderr: deque[bytes] = deque([b""], maxlen=LAST_LINES)
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the interpreter that the user named
                [str(python), "-B", "-c", _BEGIN, str(Path(__file__).parent)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=_environment(python, threads),
                pass_fds=(self._frames,),
                bufsize=0,
                start_new_session=True,
            )
        except OSError:
            os.close(self._frames)
            raise
        self._selector = selectors.DefaultSelector()
        for stream in (self._process.stdout, self._process.stderr):
            assert stream is not None
            os.set_blocking(stream.fileno(), False)
            self._selector.register(stream.fileno(), selectors.EVENT_READ)

    @property
    def frames(self) -> int:
        """The descriptor of the memory for frames, which the worker has under the same number."""
        return self._frames

    @property
    def alive(self) -> bool:
        """Whether the process is running; what one left behind that is not is ended."""
        if self._process.poll() is None:
            return True
        self._kill()
        return False

    @property
    def last_words(self) -> str:
        """The last lines that it wrote to stderr."""
        while chunk := self._rest():
            self._heard(chunk)
        return b"\n".join(self._stderr).decode(errors="replace").strip()

    def ask(self, message: Message, image: Image | None = None) -> Message:
        """Send a message, with a frame or without, and wait for the answer.

        Whoever is interrupted in it (Ctrl-C in a notebook) finds the worker ended: its answer would come later, and be
        taken for that to the next question.

        Raises:
            WorkerLostError: If there is none.
        """
        if image is not None:
            self._show(image)
            message = {**message, "shape": list(image.shape)}
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(packed(message))
            return self._answer()
        except BrokenPipeError:
            raise self._lost() from None
        except WorkerLostError:
            raise
        except BaseException:
            self._kill()
            raise

    def _kill(self) -> int:
        """End the process, and all that it started; returns how it ended."""
        if not self._over:  # once: later the number may be another group's
            self._over = True
            with suppress(ProcessLookupError, PermissionError):  # macOS says the latter of a group of zombies
                os.killpg(self._process.pid, signal.SIGKILL)
        return self._process.wait()

    def _answer(self) -> Message:
        """Wait for one."""
        deadline = time.monotonic() + self._patience
        while b"\n" not in self._received:
            lives = self.alive
            heard = self._read(min(deadline - time.monotonic(), LOOK))
            if not lives and not heard:
                raise self._lost()
            if b"\n" not in self._received and time.monotonic() >= deadline:
                self._kill()
                raise self._lost(
                    f"did not answer within {self._patience:g} s (option patience) and was ended"
                )
        line, _, self._received = self._received.partition(b"\n")
        try:
            message = unpacked(line)
        except ValueError:  # a wrapper of the interpreter wrote it
            message = {}
        if not (isinstance(message, dict) and message.keys() & {"ready", "refused", "error", "box"}):
            self._kill()
            raise self._lost(f"wrote {line[:80]!r} where its answer was due, and was ended")
        return message

    def close(self) -> None:
        """End the process and give everything back; a second call does nothing."""
        if self._process.stdin is None or self._process.stdin.closed:
            return
        self._kill()
        self._selector.close()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert stream is not None
            stream.close()
        if self._map is not None:
            self._map.close()
        os.close(self._frames)

    def _show(self, image: Image) -> None:
        """Write a frame where the worker reads it."""
        if self._map is None or image.nbytes > len(self._map):
            if self._map is not None:
                self._map.close()
            os.ftruncate(self._frames, image.nbytes)
            self._map = mmap.mmap(self._frames, image.nbytes)
        np.copyto(np.frombuffer(self._map, np.uint8, image.nbytes).reshape(image.shape), image)

    def _read(self, seconds: float) -> bool:
        """Take what either pipe holds; False when the time is over.

        Raises:
            WorkerLostError: If the worker has closed its pipe.
        """
        ready = self._selector.select(max(seconds, 0.0))
        assert self._process.stdout is not None
        for key, _ in ready:
            chunk = os.read(key.fd, 1 << 16)
            if key.fd != self._process.stdout.fileno():
                self._heard(chunk)
                if not chunk:
                    self._selector.unregister(key.fd)
            elif chunk:
                self._received += chunk
            else:
                raise self._lost()
        return bool(ready)

    def _heard(self, chunk: bytes) -> None:
        first, *others = chunk.split(b"\n")
        self._stderr[-1] = (self._stderr[-1] + first)[-2000:]
        self._stderr.extend(others)

    def _lost(self, what: str = "") -> WorkerLostError:
        """The error for a worker that has gone, with its last words."""
        try:
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:  # it closed its pipe, and lives on
            code = self._kill()
        self._kill()  # what it started
        if not what:
            what = f"died of {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        return WorkerLostError(what, self.last_words, left=code == 0)

    def _rest(self) -> bytes:
        """What lies in the pipe of its stderr."""
        assert self._process.stderr is not None
        try:
            return os.read(self._process.stderr.fileno(), 1 << 16)
        except BlockingIOError:  # a process that it started holds the pipe open
            return b""


def _shared_memory() -> int:
    """A file without a name, in memory where the system can; it goes when both sides have closed it."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("frames")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, mmap.PAGESIZE)
    return descriptor


def _environment(python: Path, threads: int) -> dict[str, str]:
    """The worker's environment: no bytecode is written, no window opened, no more threads than wanted."""
    environment = dict(os.environ)
    if python != Path(sys.executable):
        # Ours would bring this interpreter's packages, built for this interpreter, into another one.
        environment = {
            k: v for k, v in environment.items() if k not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
        }
    environment |= {"PYTHONDONTWRITEBYTECODE": "1", "MPLBACKEND": "Agg"}
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
    return environment | dict.fromkeys(names, str(threads))
