"""Each list of packages has one source; what has to repeat it fails here where it drifts."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from bundler import dependencies, settings
from bundler.init import InitOptions, init
from bundler.libs.reading import pip_file
from bundler.libs.resolve import rules
from bundler.notebook import training
from bundler.rehearse.checks import wheels

ROOT = Path(__file__).parents[2]
LISTS = dependencies.load()
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def pinned(lines: list[str]) -> dict[str, str]:
    """Return name → specifier of requirement lines, those for our own extras left out."""
    parsed = [Requirement(line) for line in lines]
    return {
        canonicalize_name(one.name): str(one.specifier)
        for one in parsed
        if one.name != "rsna-bundle"
    }


RUNNER = pinned([*LISTS.runner.values(), *LISTS.codecs.values(), LISTS.onnxruntime["cpu"]])
BUCKETS = pinned([line for bucket in LISTS.buckets.values() for line in bucket.values()])


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ("inference", RUNNER),
        ("fast", pinned(list(LISTS.fast.values()))),
        ("train", pinned(list(LISTS.training.values()))),
        ("bundle", pinned(list(LISTS.bundling.values()))),
        ("tables", pinned(list(LISTS.tables.values()))),
    ],
)
def test_an_extra_of_the_package_is_the_list(extra: str, expected: dict[str, str]) -> None:
    assert pinned(EXTRAS[extra]) == expected


@pytest.mark.parametrize("extra", ["bundle", "cloud"])
def test_other_extras_ask_for_the_same_versions(extra: str) -> None:
    known = RUNNER | pinned(list(LISTS.training.values())) | BUCKETS
    asked = pinned(EXTRAS[extra])
    assert {name: asked[name] for name in asked.keys() & known} == {
        name: known[name] for name in asked.keys() & known
    }
    if extra == "cloud":
        assert BUCKETS.keys() <= asked.keys()


def test_this_repositorys_wheelhouse_is_the_list() -> None:
    assert (ROOT / "wheelhouse.txt").read_text(encoding="utf-8") == dependencies.wheelhouse()


def test_a_new_repositorys_wheelhouse_is_the_list(tmp_path: Path) -> None:
    init(
        tmp_path,
        InitOptions(owner="rosa", competition=settings.Settings.competition),
        lambda question, default: "",
    )
    text = (tmp_path / settings.Settings.requirements).read_text(encoding="utf-8")
    assert text.startswith(dependencies.wheelhouse())
    assert "numba>=0.60" in text


def test_the_demos_list_differs_in_the_onnxruntime_and_goes_without_numba(tmp_path: Path) -> None:
    (tmp_path / "wheelhouse.txt").write_text(dependencies.demo_wheelhouse())
    demo = {need.name for need in pip_file.read(tmp_path / "wheelhouse.txt").wanted}
    ours = {need.name for need in pip_file.read(ROOT / "wheelhouse.txt").wanted}
    assert demo - ours == {"onnxruntime"}
    assert ours - demo == {"onnxruntime-gpu", "numba"}


def test_the_training_notebook_asks_for_the_list() -> None:
    pull = training.cells("https://example.org/r.git", "main", [], "gs://mine/runs")[0]
    for line in (*LISTS.training.values(), *LISTS.runner.values(), LISTS.buckets["gs"]["gcsfs"]):
        assert f'"{line}"' in pull
    assert "s3fs" not in pull
    assert "gcsfs" not in training.cells("https://example.org/r.git", "main", [], None)[0]


def test_the_makefile_asks_for_the_kernel_with_nothing_installed() -> None:
    """As it does before there is any environment: without site-packages."""
    command = [sys.executable, "-S", "-m", "bundler.dependencies", "kernel"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines() == list(LISTS.kernel.values())
    assert "-m bundler.dependencies kernel" in (ROOT / "Makefile").read_text()


def test_nobody_pins_a_package_again() -> None:
    """But pyproject.toml and wheelhouse.txt, which are compared above."""
    listed = subprocess.run(
        ["git", "ls-files", "--", "bundler", "inference", "train", "Makefile", ".ci"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    sources = [path for path in map(ROOT.joinpath, listed) if path.suffix in ("", ".py", ".yaml")]
    assert len(sources) > 100
    names = "|".join(map(re.escape, [*RUNNER, *pinned([*LISTS.training.values()]), "ipykernel"]))
    pin = re.compile(rf"""["' ](?:{names})(?:>=|==|<)\d""")
    assert [path.name for path in sources if pin.search(path.read_text(encoding="utf-8"))] == []


def test_the_rules_of_the_notebooks_onnxruntime_agree() -> None:
    gpu = Requirement(LISTS.onnxruntime["gpu"])
    (rule,) = (rule for rule in rules.RULES if rule.constraint.name == gpu.name)
    assert rule.constraint == gpu
    assert not gpu.specifier.contains(wheels.CUDA_13)
    assert Version(rule.newest) in gpu.specifier


@pytest.mark.parametrize(
    ("package", "modules", "others"),
    [
        # nvImageCodec is taken where a machine has it.
        (
            "inference",
            {*LISTS.runner, *LISTS.codecs, *LISTS.fast, *LISTS.decoders, "onnxruntime"},
            {"nvidia"},
        ),
        # omegaconf comes with hydra, torchvision with timm, requests, sqlalchemy with MLflow.
        (
            "train",
            {*LISTS.runner, *LISTS.codecs, *LISTS.training, "inference", "train"},
            {"omegaconf", "torchvision", "requests", "sqlalchemy", "distributed"},
        ),
    ],
)
def test_all_that_is_imported_is_listed(package: str, modules: set[str], others: set[str]) -> None:
    found = set()
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.partition(".")[0])
    assert found - set(sys.stdlib_module_names) - modules - others - {"inference"} == set()
