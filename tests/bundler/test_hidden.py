"""[tool.rsna-bundle.hidden]: typed, unknown keys refused, a hook alone as text."""

from pathlib import Path

import pytest

from bundler import settings
from bundler.errors import UsageError
from bundler.hidden import Hidden


def load(tmp_path: Path, text: str) -> Hidden:
    (tmp_path / "pyproject.toml").write_text(text)
    return settings.load(tmp_path).hidden


def test_reads_text_lists_and_tables(tmp_path: Path) -> None:
    loaded = load(
        tmp_path,
        '[tool.rsna-bundle.hidden]\nsample = "s.csv"\nid = ["a"]\ntolerance = 0\n'
        'files = { "test/{a}.png" = "train/{a}.png" }\nrepeat = { kind = ["x", "y"] }\n',
    )
    assert loaded == Hidden(
        sample="s.csv",
        id=("a",),
        tolerance=0.0,
        files=(("test/{a}.png", "train/{a}.png"),),
        repeat=(("kind", ("x", "y")),),
    )


def test_a_hook_alone(tmp_path: Path) -> None:
    text = '[tool.rsna-bundle]\nhidden = "mine.deal:write"\n'
    assert load(tmp_path, text) == Hidden(hook="mine.deal:write")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('uint = "a"', "has no key 'uint'. Did you mean 'unit'?"),
        ('id = "a"', "id is 'a'; it must be a list of text"),
        ("unit = 3", "unit is 3; it must be str"),
        ("gateway = 1", "gateway is 1; it must be bool"),
        ("tolerance = true", "must be a number"),
        ("tolerance = -1", "not negative"),
        ('order = "random"', "must be test or sorted or numeric"),
        ('awkward = ["missing fil"]', "'missing fil'; it must be missing file or"),
        ("files = { a = 1 }", "files must be a table of text"),
        ('repeat = { a = "x" }', "repeat must be a table of lists"),
        ('metric = "metric.py"', '"package.module:function"'),
    ],
)
def test_refuses_what_makes_no_sense(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        load(tmp_path, f"[tool.rsna-bundle.hidden]\n{line}\n")
    assert message in str(caught.value)
    assert "pyproject.toml: [tool.rsna-bundle.hidden]" in str(caught.value)
