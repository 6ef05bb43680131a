"""YAML that says something twice is refused wherever a user writes it, with the file, the key and both lines."""

import pytest
import yaml

from datasets.errors import DataError
from datasets.strict_yaml import RepeatedKeyError, parse_yaml, parse_yaml_file
from pipeline.params import read_params
from teachers import pool
from teachers.options import parsed
from trainer.evaluate.tracker_spec import Defaults, read_trackers


@pytest.mark.parametrize(
    ("text", "key", "lines"),
    [
        ("a: 1\nb: 2\na: 1\n", "a", (1, 3)),
        ("teachers:\n  kcf: {}\n  eco: {}\n  kcf: {padding: 2}\n", "teachers.kcf", (2, 4)),
        ("a: {b: 1, b: 2}\n", "a.b", (1, 1)),
        ("a:\n- x: 1\n  x: 2\n", "a.0.x", (2, 3)),
        ("1: a\n0x1: b\n", "0x1", (1, 2)),
        ("'on': a\non: b\ntrue: c\n", "true", (2, 3)),
    ],
)
def test_a_key_that_stands_twice(tmp_path, text, key, lines):
    with pytest.raises(RepeatedKeyError) as caught:
        parse_yaml(text)
    assert (caught.value.key, caught.value.lines) == (key, lines)
    with pytest.raises(DataError) as named:
        parse_yaml_file(text, tmp_path / "p.yaml", "Mend it")
    assert str(named.value).startswith(f"{tmp_path / 'p.yaml'}, line {lines[1]}: {key} stands ")
    assert "Delete one of the two" in str(named.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x: &a {k: 1, l: 2}\ny: {<<: *a, k: 3}\nz: {<<: *a, k: 4}\nw: [*a, *a]\n",
        "k: {k: {k: 1}}\n1: a\n'1': b\n",
        "=: 1\na: 2026-02-28\n",
    ],
)
def test_everything_else_reads_as_pyyaml_reads_it(text):
    assert parse_yaml(text) == yaml.safe_load(text)


@pytest.mark.parametrize(
    "text", ["a: [", "a: !!int x", "a: 2026-02-31", "a: !!bool x", "[" * 5000, "a: !!python/object:os.x"]
)
def test_what_is_no_plain_value_is_refused_with_the_file(tmp_path, text):
    with pytest.raises(DataError, match=r"p\.yaml.*not YAML"):
        parse_yaml_file(text, tmp_path / "p.yaml", "Mend it")


def test_every_file_that_a_user_writes_is_read_so(tmp_path):
    params, trackers = tmp_path / "params.yaml", tmp_path / "trackers.yaml"
    params.write_text("dataset: {root: x}\nteachers:\n  kcf: {}\n  kcf: {padding: 2}\n")
    with pytest.raises(
        DataError, match=r"params\.yaml, line 4: teachers\.kcf stands in line 3 and in line 4"
    ):
        read_params(params)
    trackers.write_text("K: {use: kcf}\nT: {use: trasfust, teachers: {A: {use: kcf}, A: {use: eco}}}\n")
    with pytest.raises(DataError, match=r"trackers\.yaml, line 2: T\.teachers\.A stands twice in line 2"):
        read_trackers(trackers, Defaults())


@pytest.mark.parametrize(
    "options", [("a=1", "a=2"), ("a={b: 1, b: 2}",)], ids=["the option", "a key of its value"]
)
def test_options_of_a_command_line(options):
    with pytest.raises(ValueError, match=r"option .* twice.*leave one of the two out"):
        parsed(options)


def test_options_behind_a_teachers_name():
    with pytest.raises(ValueError, match=r"kcf,padding=2,padding=3.*padding is given twice"):
        pool.named(["kcf,padding=2,padding=3"])
