"""params.yaml: what is accepted, and what an error says."""

import pytest
import yaml
from conftest import REPOSITORY

from datasets.errors import DataError
from datasets.transfer.encoding import Encoding
from pipeline.params import PackParams, Params, read_params

GOOD = {"dataset": {"kind": "got10k", "root": "videos"}, "teachers": {"kcf": None}}


def written(tmp_path, document):
    path = tmp_path / "params.yaml"
    path.write_text(document if isinstance(document, str) else yaml.safe_dump(document))
    return path


def test_the_projects_own_file_is_valid_and_spells_out_the_defaults():
    own = read_params(REPOSITORY / "params.yaml")
    bare = Params.model_validate({"dataset": own.dataset.model_dump(), "teachers": {"kcf": {}}})
    for section in ("track", "select", "pack", "executor"):
        assert getattr(own, section) == getattr(bare, section), section
    assert [(name, teacher.use, teacher.options) for name, teacher in own.teachers.items()] == [
        (name, name, {}) for name in ("kcf", "mdnet", "eco", "siamrpn")
    ]


def test_pixels_are_packed_as_the_format_measured_best():
    pack, best = PackParams(), Encoding()
    assert (pack.pixels, pack.window_scale, pack.oversampling, pack.quality) == (
        best.kind,
        best.window_scale,
        best.oversampling,
        best.quality,
    )


def test_a_teacher_uses_the_tracker_of_its_name_unless_told_otherwise(tmp_path):
    document = {**GOOD, "teachers": {"kcf": {}, "ECO": {"use": "recorded", "results": "r", "tracker": "ECO"}}}
    params = read_params(written(tmp_path, document))
    assert (params.teachers["kcf"].use, params.teachers["kcf"].options) == ("kcf", {})
    assert params.teachers["ECO"].use == "recorded"
    assert params.teachers["ECO"].options == {"results": "r", "tracker": "ECO"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"dataset": {"kind": "got-10k", "root": "x"}}, ["dataset.kind", "'got-10k'", "'got10k'"]),
        ({"dataset": {"kind": "got10k"}}, ["dataset.root", "required"]),
        ({"datasets": {}}, ["datasets", "no such key", "did you mean dataset?"]),
        ({"select": {"beta": [0.5]}}, ["select.beta = [0.5]", "did you mean betas?"]),
        ({"select": {"betas": [0.7, 0.5]}}, ["select.betas = [0.7, 0.5]", "smallest first"]),
        ({"select": {"betas": []}}, ["select.betas", "at least one"]),
        ({"select": {"betas": [1.0]}}, ["select.betas.0 = 1.0", "less than 1"]),
        ({"select": {"betas": [0.4]}}, ["β = 0.4", "track.stop_below = 0.5", "set track.stop_below to 0.4"]),
        ({"select": {"absent": "skip"}}, ["select.absent = 'skip'", "'ignore'"]),
        ({"select": {"window_length": 1}}, ["select.window_length = 1", "greater than or equal to 2"]),
        ({"select": {"window_length": 10**11}}, ["select.window_length = 100000000000", "100000"]),
        ({"track": {"stop_below": False}}, ["track.stop_below = False", "number"]),
        ({"select": {"seed": True}}, ["select.seed = True", "integer"]),
        ({"executor": {"workers": "4"}}, ["executor.workers = '4'", "integer"]),
        ({"select": {"betas": ["0.5"]}}, ["select.betas.0 = '0.5'", "number"]),
        ({"dataset": {"kind": "annotations", "root": "/d"}}, ["dataset.kind = 'annotations'", "'lasot'"]),
        ({"dataset": {"root": "/d", "exclude": "~nobody-here/x"}}, ["dataset.exclude", "in full"]),
        ({"select": {"window_stride": 0}}, ["select.window_stride = 0"]),
        ({"select": {"window_length": "long"}}, ["select.window_length = 'long'", "integer"]),
        ({"teachers": {}}, ["teachers"]),
        ({"teachers": ["kcf"]}, ["teachers", "mapping"]),
        ({"teachers": {"kcf": "fast"}}, ["teachers", "kcf: 'fast' is no mapping", "write kcf: {} for none"]),
        ({"teachers": {"kcf": [1]}}, ["kcf: [1] is no mapping"]),
        ({"select": {"betas": [0.5, 0.50000001]}}, ["select.betas", "both written 0.5"]),
        ({"select": {"seed": 2**63}}, ["select.seed = 9223372036854775808", "less than or equal"]),
        ({"select": {"window_stride": 2**63}}, ["select.window_stride"]),
        ({"pack": {"window_scale": float("inf")}}, ["pack.window_scale = inf", "finite"]),
        ({"pack": {"oversampling": float("nan")}}, ["pack.oversampling = nan"]),
        ({"teachers": {"P": {}}}, ["'P'", "pool of all teachers"]),
        ({"teachers": {"pool": {}}}, ["'pool'", "pool of all teachers"]),
        ({"executor": {"devices": []}}, ["executor.devices", "at least 1"]),
        ({"teachers": {f"k{n}": {"use": "kcf"} for n in range(128)}}, ["these are 128", "counts to 127"]),
        ({"teachers": {"a/b": {}}}, ["'a/b'", "names files"]),
        ({"teachers": {"k" * 101: {}}}, ["'kkkkkkkkkkkkkkkkkkkk...' has 101 letters", "at most 100"]),
        ({"teachers": {1: {}}}, ["teachers", "1 is no text to YAML", "in quotes"]),
        ({"teachers": {True: {"use": "kcf"}}}, ["True is no text to YAML"]),
        ({"pack": {"window_scale": 1.0}}, ["pack.window_scale = 1.0", "1.5"]),
        ({"executor": {"workers": 0}}, ["executor.workers = 0"]),
        (
            {"executor": {"scheduler": "tcp://a:1", "job_queue": {"cluster": "SLURMCluster", "jobs": 1}}},
            ["executor", "not both"],
        ),
    ],
)
def test_an_error_names_the_file_the_key_the_value_and_the_remedy(tmp_path, change, said):
    path = written(tmp_path, {**GOOD, **change})
    with pytest.raises(DataError) as caught:
        read_params(path)
    for part in [str(path), *said]:
        assert part in str(caught.value)


def test_limits_themselves_are_allowed(tmp_path):
    document = {
        "select": {"window_length": 2, "window_stride": 1, "windows_per_video": 1, "betas": [0.0]},
        "track": {"stop_below": 0.0},
        "pack": {"window_scale": 1.5, "quality": 100},
    }
    assert read_params(written(tmp_path, {**GOOD, **document})).pack.window_scale == 1.5


def test_every_offence_is_listed_at_once(tmp_path):
    path = written(tmp_path, {**GOOD, "select": {"betas": [2.0], "absent": "no"}, "trak": {}})
    with pytest.raises(DataError) as caught:
        read_params(path)
    assert all(key in str(caught.value) for key in ("select.betas.0", "select.absent", "trak"))


def test_broken_yaml_names_the_line(tmp_path):
    path = written(tmp_path, "dataset:\n  kind: got10k\n root: x\n")
    with pytest.raises(DataError, match="line 3") as caught:
        read_params(path)
    assert caught.value.row == 3


def test_a_file_of_another_encoding_is_named(tmp_path):
    (tmp_path / "params.yaml").write_bytes("dataset: {root: Größe}".encode("latin-1"))
    with pytest.raises(DataError, match=r"params\.yaml: is not UTF-8 text"):
        read_params(tmp_path / "params.yaml")


def test_a_missing_file_says_where_to_run(tmp_path):
    with pytest.raises(DataError, match=r"params\.yaml.*Run from the folder"):
        read_params(tmp_path / "params.yaml")
