"""What the command lines of all packages share: sub-commands, errors in one line, progress bars."""

from __future__ import annotations

import inspect
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, Protocol, TextIO, Union

import tyro
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from datasets.errors import DataWarning

_STYLE = (tyro.conf.FlagCreatePairsOff,)


class Command(Protocol):
    """A sub-command: a frozen dataclass whose fields are the options and whose docstring is the help."""

    def run(self) -> int:
        """Do the work and return the exit code."""
        ...


def run_command(
    commands: dict[str, type], prog: str, description: str | None = None, args: Sequence[str] | None = None
) -> int:
    """Parse the command line and run the sub-command that it names.

    What a user can mend (ValueError, of which DataError is one, and OSError: a missing or forbidden file, a full disk)
    ends as one message on stderr and exit code 2. Anything else is a defect of the program and keeps its traceback.

    Args:
        commands: Sub-commands by name, each a `Command`.
        prog: The program's name in usage and errors, such as `python -m datasets`.
        description: The help's first lines.
        args: The arguments; None for those of the process.

    Returns:
        The exit code: the sub-command's own, 2 after a user's error, 130 after Ctrl-C, 143 after SIGTERM.
    """
    kinds = [
        Annotated[kind, tyro.conf.subcommand(name=name, description=inspect.getdoc(kind))]
        for name, kind in commands.items()
    ]
    choice: Any = Union[tuple(kinds)]  # noqa: UP007  # `|` cannot join a list
    return guarded(_parsed(choice, prog, description, args), prog)


def run_only_command(command: type, prog: str, args: Sequence[str] | None = None, pairs: bool = False) -> int:
    """Parse the command line of a program without sub-commands and run it; see `run_command`.

    Args:
        command: A `Command`.
        prog: The program's name.
        args: The arguments; None for those of the process.
        pairs: Flags can be turned off as well: --flag and --no-flag.
    """
    return guarded(_parsed(command, prog, inspect.getdoc(command), args, pairs), prog)


def guarded(command: Command, prog: str) -> int:
    """Run a command with the errors of a user turned into one message and exit code 2 (see `run_command`)."""
    try:
        with _terminable(), _plain_warnings(prog):
            code = command.run()
        sys.stdout.flush()
    except BrokenPipeError:
        return _abandon_stdout()
    except (ValueError, OSError) as error:
        sys.stdout.flush()
        # Notes hold what another process said: a traceback, the end of its stderr.
        print(f"{prog}: {error}", *getattr(error, "__notes__", ()), sep="\n", file=sys.stderr)
        return 2
    except _Terminated:
        print(f"{prog}: terminated", file=sys.stderr)
        return 143
    except KeyboardInterrupt:
        print(f"{prog}: interrupted", file=sys.stderr)
        return 130
    return code


class _Terminated(KeyboardInterrupt):
    """SIGTERM: everybody cleans up as after Ctrl-C."""


@contextmanager
def _plain_warnings(prog: str) -> Iterator[None]:
    """Have this project's own warnings shown as its errors are; those of libraries as Python does."""
    usual = warnings.showwarning

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if issubclass(category, DataWarning):
            print(f"{prog}: {message}", file=file or sys.stderr)
        else:
            usual(message, category, filename, lineno, file, line)

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = usual


@contextmanager
def _terminable() -> Iterator[None]:
    """Have SIGTERM end the block by an exception, so that temporary files and worker processes go with it."""
    process = os.getpid()

    def terminate(number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)  # a second one is not to wait for the clearing up
        if os.getpid() == process:
            raise _Terminated
        os.kill(os.getpid(), number)  # a forked process has no part in it

    unheard = threading.current_thread() is not threading.main_thread()
    if unheard or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:  # somebody else sees to it
        yield
        return
    signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _parsed(
    choice: Any,  # noqa: ANN401  # a class or a union of classes: tyro takes both
    prog: str,
    description: str | None,
    args: Sequence[str] | None,
    pairs: bool = False,
) -> Command:
    style = () if pairs else _STYLE
    try:
        # tyro reads only the first paragraphs of a docstring unless it is given whole.
        parsed: Command = tyro.cli(choice, prog=prog, description=description, args=args, config=style)
    except BrokenPipeError:
        raise SystemExit(_abandon_stdout()) from None
    except ValueError as error:  # what tyro does not report itself: options that do not go together
        print(f"{prog}: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    command: Command = _at_home(parsed, prog)
    return command


def _at_home(value: Any, prog: str) -> Any:  # noqa: ANN401  # options, and whatever they hold
    """Options with `~` in their paths replaced by the home folder: shells do it only where a word begins with it."""
    if isinstance(value, Path):
        try:
            return value.expanduser()
        except RuntimeError as error:  # ~NAME of nobody
            print(f"{prog}: {value}: {error} Write the folder in full.", file=sys.stderr)
            raise SystemExit(2) from None
    if isinstance(value, tuple):
        return tuple(_at_home(inner, prog) for inner in value)
    if is_dataclass(value) and not isinstance(value, type):
        changed = {}
        for f in fields(value):
            old = getattr(value, f.name)
            if (new := _at_home(old, prog)) != old:
                changed[f.name] = new
        return replace(value, **changed) if changed else value
    return value


def _abandon_stdout() -> int:
    """Whoever read our output (`| head`) has seen enough: stop without the interpreter's complaint at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 141


def counted(number: int, noun: str) -> str:
    """A number of things in words: `1 video`, `9,335 videos`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def progress(unit: str = "") -> Progress:
    """A progress bar on stderr, hidden where that is not a terminal; use it as a context manager.

    Args:
        unit: What is counted, such as `videos`.
    """
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}", markup=False),  # a file's name may hold brackets
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        TextColumn("elapsed,"),
        TimeRemainingColumn(),
        TextColumn("left"),
        console=console,
        disable=not console.is_terminal,
    )
