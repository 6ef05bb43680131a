"""Memory that a process keeps: counted by the pages that the system has to give it."""

import subprocess
import sys

import pytest
from conftest import REPOSITORY

AGAIN = """
import resource
import sys

import torch

from trainer.pages import keep_pages

if sys.argv[1] == "keep":
    keep_pages()
for _ in range(3):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(25_000_000)  # 100 MB
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_what_is_freed_is_not_asked_for_again():
    def faults(how: str) -> int:
        command = [sys.executable, "-c", AGAIN, how]
        found = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
        return int(found.stdout)

    assert faults("keep") < 0.1 * faults("give back")
