"""Each option of each command arrives where it should; the list of options is click's own."""

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import click
import pytest

from bundler.cli import cli
from bundler.cli.options import fill
from bundler.model.options import Choice, ExportOptions, PreprocessChanges, Training
from tests.bundler.cli import harness
from tests.bundler.cli.cases import COMMANDS, Case, Command
from tests.recorder import Recorder


def commands(group: click.Group, path: str = "") -> Iterator[tuple[str, click.Command]]:
    """Yield every command with its path, groups included."""
    for name, command in group.commands.items():
        full = f"{path} {name}".strip()
        yield full, command
        if isinstance(command, click.Group):
            yield from commands(command, full)


def names(command: click.Command) -> set[str]:
    """Return the names of a command's options, every spelling, and of its arguments."""
    spelled: set[str] = set()
    for parameter in command.params:
        options = [*parameter.opts, *parameter.secondary_opts]
        spelled |= set(options) if isinstance(parameter, click.Option) else {str(parameter.name)}
    return spelled


def test_every_command_and_option_has_a_case() -> None:
    in_click = {path: names(command) for path, command in commands(cli)}
    in_table = {path: set(command.options) for path, command in COMMANDS.items()}
    assert in_table == in_click


PAIRS = [(path, name) for path, command in COMMANDS.items() for name in command.options]


@pytest.mark.parametrize(("path", "name"), PAIRS, ids=map(" ".join, PAIRS))
def test_option_arrives(path: str, name: str, tmp_path: Path) -> None:
    command = COMMANDS[path]
    case = command.options[name]
    root = tmp_path.resolve()
    given = harness.run(root, [*path.split(), *line(command, case)], command.functions)
    assert given.plain(case.pick(given)) == case.value
    without = harness.run(root, [*path.split(), *command.base], command.functions)
    assert without.plain(case.pick(without)) == case.default
    assert case.value != case.default


def line(command: Command, case: Case) -> list[str]:
    """Return the words of a case; an argument's replace those that the command always needs."""
    if case.words[0].startswith("-") and not case.alone:
        return [*command.base, *case.words]
    return [*case.words]


@pytest.mark.parametrize("path", [path for path, one in COMMANDS.items() if one.progress])
def test_progress_arrives(path: str, tmp_path: Path) -> None:
    command = COMMANDS[path]
    done = harness.run(tmp_path, [*path.split(), *command.base], command.functions)
    assert harness.reaches(done)


def test_progress_arrives_where_scores_are_asked_for(tmp_path: Path) -> None:
    done = harness.run(tmp_path, ["history", "--update"], COMMANDS["history"].functions)
    assert harness.reaches(done)


def test_nothing_but_the_result_is_printed(tmp_path: Path) -> None:
    command = COMMANDS["competition"]
    words = ["competition", *command.base, "--write", "--json"]
    assert harness.run(tmp_path, words, command.functions).printed == harness.JSON


def test_target_is_captured_on_kaggle_with_the_same_options(tmp_path: Path) -> None:
    root = tmp_path.resolve()
    functions = ("bundler.publish.notebooks:capture",)
    done = harness.run(root, ["target", "capture", "--push"], functions)
    settings, path, name, _ = done.call.arguments
    assert settings.competition == "settings-competition"
    assert (done.plain(path), name) == (harness.ROOT / "target.json", "captured")
    words = ["target", "capture", "--push", "--out", "o.json", "--name", "n"]
    done = harness.run(root, words, functions)
    assert list(done.call.arguments[1:3]) == [Path("o.json"), "n"]
    assert harness.reaches(done)


def test_files_are_bundled_with_the_same_options(tmp_path: Path) -> None:
    root = tmp_path.resolve()
    functions = COMMANDS["model"].functions
    done = harness.run(root, ["model", "--files", "a.pt"], functions)
    assert done.plain(done.call[0].out) == harness.ROOT / "dist" / "model"
    assert done.called("publish_folder") is None
    assert harness.reaches(done)
    words = ["model", "--files", "a.pt", "--out", "o", "--publish"]
    done = harness.run(root, words, functions)
    assert done.call[0].out == Path("o")
    publication = done.called("publish_folder")
    assert publication
    assert publication[1] == Path("o")


@pytest.mark.parametrize("kind", ["libs", "model", "code"])
def test_what_is_published_is_what_was_built(kind: str, tmp_path: Path) -> None:
    command = COMMANDS[kind]
    words = [kind, *command.base, "--out", "elsewhere", "--publish"]
    done = harness.run(tmp_path, words, command.functions)
    publication = done.called("publish_folder")
    assert publication
    assert publication[1] == Path("elsewhere")
    assert publication[0].owner == "settings-owner"
    assert isinstance(publication[2], Recorder)
    assert done.quiet is False


def test_files_take_the_place_of_an_export(tmp_path: Path) -> None:
    root, functions = tmp_path.resolve(), COMMANDS["model"].functions
    words = ["model", "--files", "a.pt", "--quiet"]
    done = harness.run(root, words, functions)
    assert done.plain(done.call[0].out) == harness.ROOT / "dist" / "model"
    assert harness.reaches(done)
    done = harness.run(root, ["model", "--files", "a", "b", "--out", "o", "--publish"], functions)
    publication = done.called("publish_folder")
    assert publication
    assert done.call[0].out == publication[1] == Path("o")


def test_an_option_without_a_field_is_refused(tmp_path: Path) -> None:
    """Each option of `model` fills one field; one that none takes would be lost in silence."""
    declared = {option.name for option in cli.commands["model"].params}
    own = {"files", "config", "write_config", "dry_run", "out", "publish", "as_json", "quiet"}
    parts = (Choice, Training, PreprocessChanges, ExportOptions)
    filled = {"preprocessing", "root"}  # by other options, and by the command
    stored = {one.name for part in parts for one in fields(part)} - filled
    assert stored == declared - own
    with pytest.raises(KeyError, match="by"):
        fill(Choice, {one.name: None for one in fields(Choice) if one.name != "by"})


def test_a_second_arch_is_refused(tmp_path: Path) -> None:
    """Click would take the last in silence."""
    words = ["model", "--run", "r", "--arch", "resnet18", "--arch", "resnet34"]
    with pytest.raises(click.UsageError, match=r"2 times \(resnet18, resnet34\)\. Give one"):
        harness.run(tmp_path, words, COMMANDS["model"].functions)


@pytest.mark.parametrize(
    ("words", "upgrade"),
    [
        ([], None),
        (["--upgrade"], ()),
        (["--upgrade", "a"], ("a",)),
        (["--upgrade", "a", "--upgrade", "b"], ("a", "b")),
        (["--upgrade", "a, b"], ("a", "b")),
        (["--upgrade", "--no-delta"], ()),
        (["--upgrade", "a", "--upgrade"], ()),
    ],
)
def test_upgrade(words: list[str], upgrade: tuple[str, ...] | None, tmp_path: Path) -> None:
    done = harness.run(tmp_path, ["libs", *words], COMMANDS["libs"].functions)
    assert done.call[0].upgrade == upgrade


@pytest.mark.parametrize("words", [["--upgrade", "a,,b"], ["--upgrade", ","]])
def test_upgrade_of_nothing_is_refused(words: list[str], tmp_path: Path) -> None:
    with pytest.raises(click.UsageError, match="empty package name"):
        harness.run(tmp_path, ["libs", *words], COMMANDS["libs"].functions)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model"], "--ckpt"),
        (["model", "--files", "a", "--ckpt", "b"], "--ckpt cannot be used with it"),
        (["model", "--files", "a", "--arch", "b", "--fold", "3"], "--fold, --arch cannot be used"),
        (["model", "--files"], "requires an argument"),
        (["model", "--config", "a.toml", "--ckpt", "b", "--arch", "c"], "--ckpt, --arch cannot be"),
        (["model", "--config", "a.toml", "--write-config", "b"], "--write-config cannot be used"),
        (["model", "--files", "a.pt", "show", "a.onnx"], "after `show`"),
        (["model", "--run", "r", "--mean", "none"], "'none' is not a number"),
        (["model", "--run", "r", "--in-chans", "2"], "'2' is not one of"),
        (["libs", "--check", "--publish"], "nothing to --publish"),
        (["rehearse", "--units", "-1"], "-1 is not in the range"),
        (["notebook", "--time-limit-hours", "0"], "0.0 is not in the range"),
        (["model", "--json", "show", "a.onnx"], "after `show`"),
        (["model", "--ckpt", "a.pt", "show", "a.onnx"], "after `show`"),
    ],
)
def test_nonsense_is_refused(words: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(click.UsageError, match=message):
        harness.run(tmp_path, words, ())
