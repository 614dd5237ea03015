"""Help is complete in a terminal of 80 columns, and in the order in which commands are used."""

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from bundler.cli import cli
from tests.bundler.cli.test_wiring import commands

COLUMNS = 80
FLOW = [
    "init",
    "libs",
    "model",
    "code",
    "notebook",
    "competition",
    "rehearse",
    "publish",
    "push",
    "submit",
    "status",
    "history",
    "doctor",
    "target",
    "train",
]
ALL = {"": cli, **dict(commands(cli))}


def shown(path: str) -> str:
    """Return what `--help` prints in a terminal of 80 columns."""
    words = path.split()
    context = click.Context(cli, info_name="rsna-bundle", terminal_width=COLUMNS)
    command: click.Command = cli
    for word in words:
        assert isinstance(command, click.Group)
        command = command.commands[word]
        context = click.Context(command, context, info_name=word, terminal_width=COLUMNS)
    return command.get_help(context)


def joined(text: str) -> str:
    """Return a text without its line breaks."""
    return re.sub(r"\s+", " ", text)


@pytest.mark.parametrize("path", ALL)
def test_nothing_is_cut_off_at_80_columns(path: str) -> None:
    text, command = shown(path), ALL[path]
    assert max(map(len, text.splitlines())) <= COLUMNS
    if isinstance(command, click.Group):
        for name, sub in command.commands.items():
            first = joined((sub.help or "").split("\n\n")[0]).strip()
            assert re.search(rf"  {name} +{re.escape(first)}\n", text + "\n"), first
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            assert parameter.help, parameter.name
            assert parameter.help in joined(text)


@pytest.mark.parametrize("path", ALL)
def test_texts_are_whole_sentences(path: str) -> None:
    command = ALL[path]
    assert re.fullmatch(r"[A-Z].*\.", joined(command.help or "").strip())
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.hidden or re.fullmatch(r"[A-Z0-9-].*\.", parameter.help or "")


def test_commands_are_listed_in_the_order_of_their_use() -> None:
    listed = re.findall(r"^  (\w+)  +\S", shown("").partition("Commands:")[2], re.MULTILINE)
    assert listed == FLOW


def test_a_user_sees_the_same(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "bundler.cli", "--help"],
        cwd=tmp_path,
        env={"COLUMNS": str(COLUMNS), "PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "..." not in result.stdout.partition("Commands:")[2]
    assert max(map(len, result.stdout.splitlines())) <= COLUMNS
