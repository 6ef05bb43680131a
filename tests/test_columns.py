"""The files that stages hand to each other: damage is one message that names the file and the stage."""

import h5py
import numpy as np
import pytest

from datasets.errors import DataError
from pipeline.columns import read_columns, text_column, write_columns

COLUMNS = {"videos/name": text_column(["a", "b"]), "frames/overlap": np.linspace(0, 1, 500)}


def test_any_damaged_byte_of_the_structure_is_an_error_with_a_remedy_or_harmless(tmp_path):
    path = tmp_path / "index.h5"
    write_columns(path, "index", COLUMNS, {"spec": "got10k:x"})
    kept = path.read_bytes()
    refused = 0
    for place in range(0, len(kept), 7):
        data = bytearray(kept)
        data[place] ^= 0x10
        path.write_bytes(data)
        try:
            read_columns(path, "index", "index")
        except DataError as error:
            refused += 1
            assert str(error).startswith(f"{path}: ")
            assert str(error).endswith("Run `dvc repro index` to make it.")
    assert refused > 50


@pytest.mark.parametrize("facts", ["{", "\udcff"])
def test_facts_that_are_none(tmp_path, facts):
    path = tmp_path / "index.h5"
    write_columns(path, "index", COLUMNS, {})
    with h5py.File(path, "r+") as file:
        file.attrs["facts"] = facts.encode("utf-8", "surrogateescape")
    with pytest.raises(DataError, match="cannot be read"):
        read_columns(path, "index", "index")
