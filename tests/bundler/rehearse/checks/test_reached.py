"""Which files of the tree the command can load: its imports, followed through the tree."""

import pytest

from bundler.rehearse.checks.reached import reached

TREE = {
    "submit.py": "import helpers\nfrom models import net\n",
    "helpers.py": "def f():\n    from src_package.deep import thing\n",
    "models/__init__.py": "",
    "models/net.py": "from . import layers\nimport beside\n",
    "models/layers.py": "",
    "models/beside.py": "",
    "models/unused.py": "",
    "src/src_package/__init__.py": "",
    "src/src_package/deep.py": "",
    "training.py": "import models.unused",
    "conf.yaml": "a: 1",
    "tests/test_a.py": "",
    "notes.md": "",
}
UNREACHED = {"models/unused.py", "training.py", "tests/test_a.py", "notes.md"}


@pytest.mark.parametrize("command", ["python submit.py", "python3 ./submit.py --fast"])
def test_follows_imports_wherever_they_stand(command: str) -> None:
    assert set(reached(TREE, command)) == set(TREE) - UNREACHED


def test_a_module_after_m() -> None:
    assert set(reached(TREE, "python -m models.net")) == {
        *("models/__init__.py", "models/net.py", "models/layers.py", "models/beside.py"),
        "conf.yaml",
    }
    package = TREE | {"models/__main__.py": "from models import unused"}
    assert "models/unused.py" in reached(package, "python -m models")


@pytest.mark.parametrize(
    "text",
    [
        "import importlib\nimportlib.import_module(name)",
        "hydra.utils.instantiate(config)",
        "exec(text)",
        "print 'python 2'",
    ],
)
def test_takes_all_where_imports_cannot_be_read(text: str) -> None:
    tree = TREE | {"helpers.py": text}
    assert "training.py" in reached(tree, "python submit.py")


def test_takes_all_where_the_script_is_not_found() -> None:
    assert "training.py" in reached(TREE, "bash run.sh")


def test_of_the_runner_only_what_it_may_import() -> None:
    tree = {"inference/run.py": "import inference.a", "inference/a.py": "", "train/loop.py": ""}
    assert set(reached(tree, None)) == {"inference/run.py", "inference/a.py"}
