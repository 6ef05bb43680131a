"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real sequences and published boxes, which is not part of the project."""
    root = (REPOSITORY / os.environ.get("REAL_DATA", "../shared/data")).resolve()
    if not root.is_dir():
        pytest.skip(f"no real data at {root}: set REAL_DATA to the folder that holds otb/ and results/")
    return root
