"""What every command line does with errors."""

import errno
from dataclasses import dataclass

import pytest

from datasets.command_line import run_only_command


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


def test_a_defect_of_the_program_keeps_its_traceback():
    @dataclass(frozen=True)
    class Defective:
        """Defective."""

        def run(self):
            return [][0]

    with pytest.raises(IndexError):
        run_only_command(Defective, "program", [])
