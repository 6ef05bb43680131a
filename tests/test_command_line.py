"""What every command line does with errors."""

import errno
import os
import signal
import subprocess
import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import REPOSITORY

from datasets.command_line import counted, run_only_command
from datasets.errors import DataWarning


def test_a_home_folder_is_found_wherever_a_path_may_stand(tmp_path, monkeypatch, capsys):
    """A shell replaces `~` at the beginning of a word alone, and not in quotes."""
    monkeypatch.setenv("HOME", str(tmp_path))
    found = []

    @dataclass(frozen=True)
    class Inner:
        folder: Path = Path("~/inner")

    @dataclass(frozen=True)
    class Found:
        """Found."""

        one: Path
        several: tuple[Path, ...] = ()
        inner: Inner = Inner()

        def run(self):
            found.append([self.one, *self.several, self.inner.folder])
            return 0

    assert run_only_command(Found, "program", ["--one=~/a", "--several", "~/b", "c~"]) == 0
    assert found == [[tmp_path / "a", tmp_path / "b", Path("c~"), tmp_path / "inner"]]
    with pytest.raises(SystemExit):
        run_only_command(Found, "program", ["--one=~nobody-of-this-name/a"])
    assert "Write the folder in full" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device", "data/frames.h5"),
        OSError(errno.EROFS, "Read-only file system", "data/frames.h5"),
        IsADirectoryError(errno.EISDIR, "Is a directory", "data/frames.h5"),
        OSError(errno.ELOOP, "Too many levels of symbolic links", "data/frames.h5"),
        PermissionError(errno.EACCES, "Permission denied", "data/frames.h5"),
    ],
)
def test_what_the_system_refuses_is_one_line(error, capsys):
    @dataclass(frozen=True)
    class Refused:
        """Refused."""

        def run(self):
            raise error

    assert run_only_command(Refused, "program", []) == 2
    assert capsys.readouterr().err == f"program: {error}\n"


def test_what_is_odd_in_the_data_is_one_line_and_other_warnings_are_pythons(capsys):
    @dataclass(frozen=True)
    class Warns:
        """Warn."""

        def run(self) -> int:
            warnings.warn("ex.txt: 1 name is unknown", DataWarning, stacklevel=1)
            warnings.warn("old", FutureWarning, stacklevel=1)
            return 0

    with pytest.warns(FutureWarning, match="old"):
        assert run_only_command(Warns, "program", []) == 0
    assert capsys.readouterr().err == "program: ex.txt: 1 name is unknown\n"


def test_a_defect_of_the_program_keeps_its_traceback():
    @dataclass(frozen=True)
    class Defective:
        """Defective."""

        def run(self):
            return [][0]

    with pytest.raises(IndexError):
        run_only_command(Defective, "program", [])


def test_sigterm_is_one_line_and_leaves_no_temporary_file(small_videos, tmp_path):
    video = next(path for path in sorted((small_videos / "train").iterdir()) if path.is_dir())
    command = [sys.executable, "-m", "teachers", "try", "test_command_line:Endless", "--video", str(video)]
    with subprocess.Popen(
        [*command, "--out", str(tmp_path / "out.mp4")],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'tests'}"},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while not list(tmp_path.iterdir()) and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (143, "python -m teachers: terminated\n")
    assert not list(tmp_path.iterdir())


class Endless:
    """Never gives the third box."""

    version, needs_images = 1, False

    def start(self, image, box, task):
        self.box, self.frame = box, 0
        return box

    def track(self, image):
        self.frame += 1
        while self.frame == 2:
            time.sleep(0.05)
        return self.box


def test_sigterm_is_left_to_whoever_has_seen_to_it():
    seen = []
    before = signal.signal(signal.SIGTERM, lambda *_: seen.append(1))

    @dataclass(frozen=True)
    class Signalled:
        """Signalled."""

        def run(self):
            os.kill(os.getpid(), signal.SIGTERM)
            return 0

    try:
        assert run_only_command(Signalled, "program", []) == 0
    finally:
        signal.signal(signal.SIGTERM, before)
    assert seen == [1]


def test_one_of_a_thing_is_not_many():
    assert [counted(n, "file") for n in (0, 1, 2, 9335)] == ["0 files", "1 file", "2 files", "9,335 files"]
