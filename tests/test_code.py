"""The code's own form: ruff and mypy --strict are clean, the rooms know only whom they may, the README is true."""

import ast
import re
import subprocess
import sys

import pytest
from conftest import REPOSITORY

PACKAGES = [name for name in ("datasets", "teachers", "pipeline", "trainer") if (REPOSITORY / name).is_dir()]

MAY_KNOW = {
    "datasets": set(),
    "teachers": {"datasets"},
    "pipeline": {"datasets", "teachers"},
    "trainer": {"datasets", "teachers"},
}


def run(*command):
    return subprocess.run([sys.executable, "-m", *command], cwd=REPOSITORY, capture_output=True, text=True)


def test_ruff_finds_nothing():
    found = run("ruff", "check", "--no-cache", ".")
    assert found.returncode == 0, found.stdout


def test_ruff_would_format_nothing():
    found = run("ruff", "format", "--check", "--no-cache", ".")
    assert found.returncode == 0, found.stdout


def test_mypy_strict_finds_nothing():
    found = run("mypy", *(argument for package in PACKAGES for argument in ("-p", package)))
    assert found.returncode == 0, found.stdout
    # Benchmarks are no part of the packages and are seldom run: they have to know these by names that exist.
    scripts = sorted(map(str, (REPOSITORY / "benchmarks").glob("*.py")))
    found = run("mypy", "--follow-imports=silent", *scripts)
    assert f"{len(scripts)} source files" in found.stdout
    assert not re.findall(r".*\[(?:attr-defined|name-defined)\]", found.stdout)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_only_those_below_it(package):
    for path in sorted((REPOSITORY / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += (
                [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []
            )
            for name in names:
                room = name.split(".")[0]
                assert room not in PACKAGES or room == package or room in MAY_KNOW[package], (
                    f"{path} imports {name}"
                )


def test_no_module_is_longer_than_400_lines():
    long = {
        str(path): len(path.read_text().splitlines())
        for package in PACKAGES
        for path in (REPOSITORY / package).rglob("*.py")
    }
    assert not {path: lines for path, lines in long.items() if lines > 400}


def test_files_that_the_readme_and_the_docs_link_to_exist():
    for page in [REPOSITORY / "README.md", *(REPOSITORY / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if not re.match(r"https?:", target):
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize(
    "program",
    [
        f"datasets {what}"
        for what in ("synth", "audit", "info", "validate", "repair", "view", "merge", "export")
    ]
    + ["teachers fetch", "teachers list", "teachers try"]
    + ["teachers.training.mdnet", "teachers.training.siamrpn"]
    + ["trainer", "trainer.evaluate", "trainer.track", "trainer.judge"]
    + [f"pipeline.{stage}" for stage in ("index", "track", "select", "pack", "stats", "report", "failures")],
)
def test_every_program_has_help_with_an_example(program):
    shown = run(*program.split(), "--help")
    assert shown.returncode == 0, shown.stderr
    assert f"python -m {program}" in shown.stdout.split("Example", 1)[1]
