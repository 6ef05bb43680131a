"""Memory that a process keeps, as glibc counts it."""

import ctypes
import json
import os
import subprocess
import sys

import pytest
from conftest import REPOSITORY

COUNTED = """
import ctypes
import json
import sys

from trainer.pages import keep_pages


class Counts(ctypes.Structure):
    names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
    _fields_ = [(name, ctypes.c_size_t) for name in names.split()]


library = ctypes.CDLL(None)
library.mallinfo2.restype = Counts
library.malloc.restype, library.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
library.free.argtypes = [ctypes.c_void_p]
if sys.argv[1] == "keep":
    keep_pages()
before = library.mallinfo2()
block = library.malloc(200_000_000)
held = library.mallinfo2()
library.free(block)
after = library.mallinfo2()
print(json.dumps({
    "apart": held.hblkhd - before.hblkhd,
    "in the heap": held.arena - before.arena,
    "kept": after.arena - before.arena,
}))
"""


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="glibc's allocator, 2.33"
)
def test_what_is_freed_stays():
    # dask leaves settings of its workers' allocator in the environment of the process that started them
    own = ("MALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD")
    plain = {name: value for name, value in os.environ.items() if not name.startswith(own)}

    def counted(how: str) -> dict[str, int]:
        command = [sys.executable, "-c", COUNTED, how]
        found = subprocess.run(command, cwd=REPOSITORY, env=plain, capture_output=True, text=True, check=True)
        return json.loads(found.stdout)

    kept, given_back = counted("keep"), counted("give back")
    assert given_back["apart"] >= 200_000_000  # mapped for this block alone, and unmapped with it
    assert kept["apart"] == 0
    assert kept["kept"] == kept["in the heap"] > 100_000_000
