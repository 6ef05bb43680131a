"""Files that appear complete or not at all, on disks that are full and after kills."""

import errno
import multiprocessing
import os
import platform
import signal
import subprocess
import sys

import h5py
import numpy as np
import pytest
from conftest import REPOSITORY

from datasets.atomic import appearing, clear_leftovers, room_for, scratch_folder
from datasets.errors import DataError
from datasets.hdf5 import new_hdf5


def finished_process():
    """The number of a process that lives no more."""
    child = multiprocessing.get_context("fork").Process(target=int)
    child.start()
    child.join()
    return child.pid


def write_bytes(path):
    path.write_bytes(bytes(20_000))


def write_hdf5(path):
    with new_hdf5(path, libver="latest") as file:
        file["numbers"] = np.arange(20_000)


@pytest.mark.parametrize("write", [write_bytes, write_hdf5])
def test_a_full_disk_is_one_message_that_names_the_file_and_leaves_the_old_one(tmp_path, small_files, write):
    path = tmp_path / "out.h5"
    path.write_bytes(b"old")
    said = rf"{path}: cannot be written \(File too large\)\. Make room"
    with pytest.raises(DataError, match=said), appearing(path) as temporary:
        write(temporary)
    assert [p.name for p in tmp_path.iterdir()] == ["out.h5"]
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize("room", [0, 700, 5_000, 13_000, 60_000])
def test_hdf5_on_a_full_disk_ends_as_that_error_and_the_process_as_it_should(tmp_path, room):
    # Where HDF5 itself is told, it tries again, at the latest when the process ends, and crashes it.
    code = f"""
import resource, signal
from pathlib import Path
import numpy as np
from datasets.hdf5 import new_hdf5
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room}))
try:
    with new_hdf5(Path({str(tmp_path / "out.h5")!r}), libver="latest", userblock_size=512) as file:
        file.attrs["facts"] = "x" * 1000
        file["numbers"] = np.arange(10_000)
        file["others"] = np.arange(10_000)
except OSError as error:
    print(error.strerror)
"""
    ended = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "File too large\n", "")


def test_hdf5_on_a_disk_with_room(tmp_path):
    path = tmp_path / "out.h5"
    path.write_bytes(bytes(100_000))
    with new_hdf5(path, libver="latest", userblock_size=512) as file:
        file["numbers"] = np.arange(1000)
    with h5py.File(path) as file:
        assert file["numbers"][()].tolist() == list(range(1000))
    assert path.stat().st_size < 20_000
    with pytest.raises(KeyError), new_hdf5(path) as file:
        file["absent"]


def test_other_errors_stay_what_they_are(tmp_path):
    with pytest.raises(FileNotFoundError), room_for(tmp_path):
        (tmp_path / "absent").read_bytes()
    with pytest.raises(RuntimeError, match="generator"), room_for(tmp_path):
        raise RuntimeError("generator")


def test_a_folder_in_the_place_of_a_file_is_named_before_the_work(tmp_path):
    with pytest.raises(DataError, match="is a folder"), appearing(tmp_path):
        pytest.fail("the work was begun")


def test_leftovers_of_dead_processes_go_and_nothing_else(tmp_path):
    dead, host = finished_process(), platform.node()
    out = tmp_path / "a.h5"
    gone = [f".a.h5.{host}-{dead}.tmp", f".a.h5.{host}-{dead}.tmp-structure", f".a.h5.{host}-{dead}.parts"]
    kept = [
        f".a.h5.{host}-{os.getppid()}.tmp",  # its writer lives
        f".a.h5.{host}x-{dead}.tmp",  # of another machine
        f".b.a.h5.{host}-{dead}.tmp",  # of another file
        ".a.h5.backup",
        "a.h5",
    ]
    for name in gone[:2] + kept:
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / gone[2] / "below").mkdir(parents=True)
    clear_leftovers(out)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(kept)


def test_a_scratch_folder_of_a_killed_process_is_cleared_by_the_next(tmp_path):
    out = tmp_path / "rest.h5"
    code = f"""
import os, signal
from pathlib import Path
from datasets.atomic import scratch_folder
with scratch_folder(Path({str(out)!r})) as folder:
    (folder / "frames.h5").write_bytes(bytes(100))
    os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY)
    assert killed.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 1
    with scratch_folder(out) as folder:
        assert list(tmp_path.iterdir()) == [folder]
        assert not list(folder.iterdir())
    assert not list(tmp_path.iterdir())


def test_a_full_disk_by_its_number():
    with pytest.raises(DataError, match="No space left"), room_for("x"):
        raise OSError(errno.ENOSPC, "whatever")
