"""[tool.rsna-bundle.hidden]: typed, unknown keys refused, a hook alone as text."""

import re
import shlex
from pathlib import Path

import pytest

from bundler import settings
from bundler.competition import confirm
from bundler.errors import UsageError
from bundler.hidden import NAMES, Hidden

REFERENCE = (Path(__file__).parents[2] / "docs" / "reference.md").read_text(encoding="utf-8")
SECTION = REFERENCE[REFERENCE.index("## The competition's tables") :].partition("\n## ")[0]


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
        (
            'unit = ""',
            "unit is empty. Where each row stands alone, name the column",
        ),
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


def test_every_key_is_documented_with_an_example_that_is_read(tmp_path: Path) -> None:
    listed = "".join(line.split("|")[1] for line in SECTION.splitlines() if line.startswith("|"))
    assert set(re.findall(r"`(\w+)`", listed)) == set(NAMES)
    example = re.search(r"```toml\n(.*?)```", SECTION, re.DOTALL)
    assert example
    shown = load(tmp_path, example[1])
    assert shown.repeat == (("finding", ("fracture", "tumor")),)
    assert shown.is_filled


def test_the_options_of_the_reference_say_the_same(tmp_path: Path) -> None:
    example = re.search(r"```sh\n(.*?)```", SECTION, re.DOTALL)
    assert example
    words = shlex.split(example[1])
    options = [words[n + 1] for n, word in enumerate(words) if word == "--set"]
    assert confirm.apply(options, Hidden()) == Hidden(
        unit="study",
        labels=("present", "annotator"),
        files=(("test_images/{study}/", "train_images/{study}/"),),
        repeat=(("finding", ("fracture", "tumor")),),
    )


@pytest.mark.parametrize("key", ["unit", "id", "labels", "test", "files", "sample"])
def test_an_empty_value_does_not_bring_the_guess_back_silently(key: str) -> None:
    with pytest.raises(UsageError, match=f"{key}.* (is empty|a value is missing)"):
        confirm.apply([f"{key}="], Hidden())


def test_no_awkward_case_is_a_choice() -> None:
    assert confirm.apply(["awkward="], Hidden()).awkward == ()
