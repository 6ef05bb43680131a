"""Compiled functions: compiled as well where nothing can be kept on disk; what division by zero gives."""

import subprocess
import sys

import numpy as np
import pytest
from conftest import REPOSITORY

from datasets.compiled import compiled, compiled_like_python

NOWHERE = """
import ctypes

import numba
import numpy as np
from numba import types
from numba.core.caching import CacheImpl

CacheImpl._locator_classes = []

from datasets.compiled import compiled_for_c
from datasets.row_kernel import parse
from datasets.transfer.resample import reduce
from teachers.kcf.correlation import blend

rows = np.empty((1, 4), np.float32)
assert parse(np.frombuffer(b"1,2,3.5,4", np.uint8), rows, 1.0) == 1
assert rows.tolist() == [[0.0, 1.0, 3.5, 4.0]]
assert (reduce(np.full((6, 8, 3), 7, np.uint8), (4, 3)) == 7).all()
model = np.zeros((2, 3), np.float32)
blend(np.ones_like(model), np.float32(1), model)
assert (model == 1).all()


def seven(given):
    numba.carray(given, 1)[0] = 7


number = np.zeros(1, np.int64)
function = compiled_for_c(seven, types.void(types.CPointer(types.int64)))
ctypes.CFUNCTYPE(None, ctypes.c_void_p)(function.address)(number.ctypes.data)
assert number[0] == 7
assert not parse.stats.cache_path and not blend.stats.cache_path
"""


def test_they_are_compiled_where_nothing_can_be_kept():
    found = subprocess.run([sys.executable, "-c", NOWHERE], cwd=REPOSITORY, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr


@compiled
def quotient(a, b):
    return a / b


@compiled_like_python
def strict_quotient(a, b):
    return a / b


def test_division_by_zero_is_infinite_or_an_error():
    assert quotient(1.0, 0.0) == np.inf
    with pytest.raises(ZeroDivisionError):
        strict_quotient(1.0, 0.0)
