"""Modes are subcommands; the first one is meant where none is named."""

from pathlib import Path

import click
import pytest

from tests.bundler.cli import harness

FUNCTIONS = {
    "push": (
        "bundler.publish.push:push",
        "bundler.publish.notebooks:push_training",
        "bundler.publish.notebooks:push_libs",
    ),
    "notebook": (
        "bundler.notebook.submission:write_for",
        "bundler.notebook.other:write_training",
        "bundler.notebook.other:write_libs",
    ),
}


@pytest.mark.parametrize(
    ("words", "function"),
    [
        (["push"], "push"),
        (["push", "--dist", "d"], "push"),
        (["push", "submission"], "push"),
        (["push", "train"], "push_training"),
        (["push", "libs"], "push_libs"),
        (["notebook"], "write_for"),
        (["notebook", "--dist", "d"], "write_for"),
        (["notebook", "submission"], "write_for"),
        (["notebook", "train", "--dist", "d"], "write_training"),
        (["notebook", "libs", "--build", "x"], "write_libs"),
    ],
)
def test_mode_makes_its_own_call_and_no_other(
    words: list[str], function: str, tmp_path: Path
) -> None:
    done = harness.run(tmp_path, words, FUNCTIONS[words[0]])
    assert [call.name for call in done.calls] == [function]


@pytest.mark.parametrize("command", ["push", "notebook"])
@pytest.mark.parametrize(
    ("words", "call"),
    [
        (["--train"], "train"),
        (["--libs"], "libs"),
        (["--train", "--libs"], "train"),
        (["--quiet", "--libs"], "libs"),
        (["submission", "--train"], "train"),
    ],
)
def test_old_flag_names_the_new_call_and_nothing_is_done(
    command: str, words: list[str], call: str, tmp_path: Path
) -> None:
    with pytest.raises(click.UsageError, match=f"run `.*{command} {call}`"):
        harness.run(tmp_path, [command, *words], FUNCTIONS[command])


@pytest.mark.parametrize(
    "words", [["push", "train", "libs"], ["push", "--dist", "d", "train"], ["push", "nope"]]
)
def test_one_mode_at_a_time(words: list[str], tmp_path: Path) -> None:
    with pytest.raises(click.UsageError):
        harness.run(tmp_path, words, FUNCTIONS["push"])
