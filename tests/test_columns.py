"""The files that stages hand to each other: damage is one message that names the file and the stage."""

import random
from pathlib import Path

import h5py
import numpy as np
import pytest

from datasets.errors import DataError
from pipeline.checksum import BLOCK, write_checksum
from pipeline.columns import Column, Form, read_columns, text_column, write_columns
from pipeline.index import Index
from pipeline.params import SelectParams
from pipeline.select import Selection, select
from pipeline.trajectories import Status, Trajectories, Trajectory

COLUMNS = {"videos/name": text_column(["a", "b"]), "frames/overlap": np.linspace(0, 1, 500)}
FORM = Form(
    "index",
    {"videos/name": Column("text", ("videos",)), "frames/overlap": Column("float64", ("frames",))},
    facts={"spec": (str,)},
    rows={},
)
REMEDY = "Run `dvc repro index` to make it (with --force if DVC finds nothing to do)."


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "index.h5"
    write_columns(path, "index", COLUMNS, {"spec": "got10k:x"})
    return path


def refusal(path, form=FORM):
    with pytest.raises(DataError) as caught:
        read_columns(path, form, "index")
    assert str(caught.value).startswith(f"{path}: ")
    assert str(caught.value).endswith(REMEDY)
    return str(caught.value)


def test_a_table_reads_back_and_is_plain_hdf5_for_others(table):
    columns, facts = read_columns(table, FORM, "index")
    assert columns.keys() == COLUMNS.keys()
    assert all(np.array_equal(columns[name], COLUMNS[name]) for name in COLUMNS)
    assert facts == {"spec": "got10k:x"}
    with h5py.File(table) as file:
        assert file.userblock_size == BLOCK


def test_any_damaged_byte_is_an_error_with_a_remedy(table):
    kept = table.read_bytes()
    for place in range(0, len(kept), 7):
        data = bytearray(kept)
        data[place] ^= 0x10
        table.write_bytes(data)
        refusal(table)


def test_a_damaged_byte_far_behind_is_an_error_too(tmp_path):
    """More than the checksum reads at once."""
    long = {**COLUMNS, "frames/overlap": np.linspace(0, 1, 300_000)}
    write_columns(tmp_path / "index.h5", "index", long, {"spec": "got10k:x"})
    data = bytearray((tmp_path / "index.h5").read_bytes())
    data[2_000_000] ^= 1
    (tmp_path / "index.h5").write_bytes(data)
    assert "bytes are not those that were written" in refusal(tmp_path / "index.h5")


def test_from_another_folder_the_remedy_is_to_go_back(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"Run from the folder that holds params\.yaml"):
        Index.read(Path("data/index.h5"))


@pytest.mark.parametrize("length", [0, 1, 100, BLOCK, BLOCK + 8, 3000])
def test_a_file_that_was_cut(table, length):
    table.write_bytes(table.read_bytes()[:length])
    refusal(table)


def test_rubbish_behind_a_valid_header_is_not_given_to_hdf5(table):
    kept = table.read_bytes()
    rubbish = random.Random(0)
    for header in (BLOCK, BLOCK + 8, BLOCK + 48, BLOCK + 300):
        table.write_bytes(kept[:header] + rubbish.randbytes(len(kept)))
        assert "bytes are not those that were written" in refusal(table)


def test_a_file_from_before_there_were_checksums_still_reads(table, tmp_path):
    old = tmp_path / "old.h5"
    with h5py.File(table) as new, h5py.File(old, "w", libver="latest") as file:
        for name in COLUMNS:
            file.create_dataset(name, data=new[name][()], track_times=False)
        file.attrs["kind"], file.attrs["facts"] = new.attrs["kind"], new.attrs["facts"]
    assert old.read_bytes().startswith(b"\x89HDF")
    columns, _ = read_columns(old, FORM, "index")
    assert np.array_equal(columns["frames/overlap"], COLUMNS["frames/overlap"])


@pytest.mark.parametrize("facts", ["{", "\udcff", "[]", "{}", '{"spec": 3}'])
def test_facts_that_are_none(table, facts):
    with h5py.File(table, "r+") as file:
        file.attrs["facts"] = facts.encode("utf-8", "surrogateescape")
    write_checksum(table)
    refusal(table)


@pytest.fixture
def stages(tmp_path):
    """An index, a teacher's trajectories and a selection of two videos, each written and with its reader."""
    boxes = np.ones((3, 4), np.float32)
    index = Index(
        "got10k:x",
        ["a", "b"],
        ["", "dog"],
        ["", ""],
        np.array([0, 3, 6]),
        np.tile(boxes, (2, 1)),
        np.zeros(6, np.bool_),
        [],
    )
    done = [Trajectory(boxes, np.ones(3), Status.COMPLETED)] * 2
    kcf = Trajectories.of("kcf", index.fingerprint, None, done)
    chosen = select(index, {"kcf": kcf}, SelectParams(window_length=2, window_stride=1))
    read = {
        "index": Index.read,
        "kcf": lambda path: Trajectories.read(path, index.fingerprint),
        "selection": Selection.read,
    }
    for name, made in (("index", index), ("kcf", kcf), ("selection", chosen)):
        made.write(tmp_path / f"{name}.h5")
    return {name: (tmp_path / f"{name}.h5", reader) for name, reader in read.items()}


def without(name):
    def change(file):
        del file[name]

    return change


def instead(name, values):
    def change(file):
        del file[name]
        file.create_dataset(name, data=values)

    return change


@pytest.mark.parametrize(
    ("stage", "change", "said"),
    [
        ("index", without("videos/digest"), "there is no column videos/digest"),
        ("index", without("frames"), "there is no column frames/ground_truth"),
        (
            "index",
            instead("frames/absent", np.zeros(6)),
            "column frames/absent is float64 of shape (6,), not uint8",
        ),
        (
            "index",
            instead("frames/ground_truth", np.zeros((6, 5), "f4")),
            "shape (6, 5), where 4 were expected",
        ),
        ("index", instead("videos/name", np.array([b"a"])), "videos/object_class has shape (2,), where 1"),
        (
            "index",
            instead("videos/name", np.array([b"a", b"\xff"])),
            "column videos/name is not text in UTF-8",
        ),
        ("index", instead("videos/offset", np.array([0, 4, 6, 6])), "videos/offset has shape (4,), where 3"),
        ("index", instead("videos/offset", np.array([0, 7, 6])), "videos/offset does not rise from 0 to 6"),
        ("kcf", without("frames/overlap"), "there is no column frames/overlap"),
        ("kcf", instead("frames/boxes", np.zeros((5, 4), "f4")), "frames/overlap has shape (6,), where 5"),
        (
            "kcf",
            instead("videos/status", np.array([0, 0])),
            "column videos/status is int64 of shape (2,), not uint8",
        ),
        ("selection", without("positive"), "there is no column positive"),
        (
            "selection",
            instead("positive", np.zeros((5, 2), "u1")),
            "not uint8 of shape (betas, videos, teachers)",
        ),
        ("selection", instead("windows/start", np.zeros(1, "i8")), "windows/start has shape (1,), where"),
        ("selection", instead("windows/video", np.array([0, 0, 2, 1])), "names number 2 of 2 videos"),
        ("selection", instead("windows/video", np.array([-1, 0, 1, 1])), "names number -1 of 2 videos"),
        (
            "selection",
            instead("positive", np.zeros((5, 2, 3), "u1")),
            "positive has shape (5, 2, 3), for 5 β and 1 teacher.",
        ),
    ],
)
def test_a_column_that_is_not_what_it_has_to_be(stages, stage, change, said):
    path, read = stages[stage]
    read(path)
    with h5py.File(path, "r+") as file:
        change(file)
    write_checksum(path)
    with pytest.raises(DataError) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert said in message
    assert "Run `dvc repro " in message


def test_trajectories_of_other_videos_are_refused(stages):
    path, _ = stages["kcf"]
    with pytest.raises(DataError, match=r"of another index.*dvc repro track@kcf"):
        Trajectories.read(path, "other")


def test_a_selection_whose_parameters_are_none(stages):
    path, read = stages["selection"]
    with h5py.File(path, "r+") as file:
        file.attrs["facts"] = '{"dataset": "", "teachers": [], "params": {"betas": []}}'
    write_checksum(path)
    with pytest.raises(DataError, match=r"selection\.h5: its parameters are none.*betas.*dvc repro select"):
        read(path)
