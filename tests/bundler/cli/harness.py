"""Run the real command line with one function replaced, and look at what reached it."""

import contextlib
import importlib
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from bundler.cli import cli
from bundler.progress import Progress
from tests.recorder import Recorder

# Every key differs from its default, so that a command that forgets the settings is seen.
SETTINGS = """\
[tool.rsna-bundle]
owner = "settings-owner"
competition = "settings-competition"
target = "settings-target"
competition_dir = "settings-data"
requirements = "settings.txt"
hidden_units = 77
time_limit_hours = 3.0
on_failures = "finish"
output = "probability"

[tool.rsna-bundle.hidden]
train = "settings.csv"
"""
ROOT = Path("ROOT")  # stands for the folder of the settings
TEXT, JSON = "a summary", '{\n  "of": "a result"\n}'


class FakeResult:
    """What a replaced function returns."""

    passed = sound = True
    questions = ()

    def summary(self) -> str:
        return TEXT

    def as_dict(self) -> dict[str, str]:
        return {"of": "a result"}


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call of a replaced function."""

    name: str
    arguments: Sequence[Any]
    keywords: Mapping[str, Any]

    def __getitem__(self, key: int | str) -> Any:
        return self.arguments[key] if isinstance(key, int) else self.keywords[key]


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a command did."""

    root: Path
    calls: Sequence[Call]
    printed: str
    quiet: bool | None  # what the progress was asked for; None: no progress was begun

    def called(self, name: str) -> Call | None:
        """Return the call of a function, by the end of its name."""
        return next((call for call in self.calls if call.name == name), None)

    @property
    def call(self) -> Call:
        """Return the first call."""
        return self.calls[0]

    def plain(self, value: Any) -> Any:
        """Return a value with ROOT in place of the test's folder."""
        if isinstance(value, Path) and value.is_relative_to(self.root):
            return ROOT / value.relative_to(self.root)
        if isinstance(value, list | tuple):
            return type(value)(self.plain(item) for item in value)
        if isinstance(value, str):
            return value.replace(str(self.root), str(ROOT))
        return value


def run(root: Path, line: Sequence[str], functions: Sequence[str]) -> Run:
    """Run a command line in a folder, with functions ("package.module:function") replaced."""
    (root / "pyproject.toml").write_text(SETTINGS)
    calls: list[Call] = []
    begun: list[bool] = []

    def replacement(name: str) -> Callable[..., FakeResult]:
        def record(*arguments: Any, **keywords: Any) -> FakeResult:
            calls.append(Call(name=name, arguments=arguments, keywords=keywords))
            return FakeResult()

        return record

    def begin(*, quiet: bool = False) -> Progress:
        begun.append(quiet)
        return Recorder()

    printed = io.StringIO()
    with contextlib.ExitStack() as stack:
        for function in functions:
            module, _, name = function.partition(":")
            target = importlib.import_module(module)
            stack.enter_context(mock.patch.object(target, name, replacement(name)))
        stack.enter_context(mock.patch("bundler.cli.reports.to_stderr", begin))
        stack.enter_context(contextlib.chdir(root))
        stack.enter_context(contextlib.redirect_stdout(printed))
        with contextlib.suppress(SystemExit):
            cli(list(line), standalone_mode=False)
    quiet = begun[-1] if begun else None
    return Run(root=root, calls=calls, printed=printed.getvalue().strip(), quiet=quiet)


def reaches(run: Run) -> bool:
    """Return whether the progress that was begun reached the first call, in any way."""

    def holds(value: Any) -> bool:
        if isinstance(value, Recorder):
            return True
        if is_dataclass(value) and not isinstance(value, type):
            return any(holds(getattr(value, entry.name)) for entry in fields(value))
        return getattr(value, "__self__", None).__class__ is Recorder  # one of its methods

    return any(map(holds, [*run.call.arguments, *run.call.keywords.values()]))
