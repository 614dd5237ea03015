"""[tool.rsna-bundle] in pyproject.toml: the settings of the repository the commands run in."""

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

from bundler import hidden
from bundler.errors import UsageError
from bundler.hidden import Hidden

CHOICES = {"output": ("binary", "probability"), "on_failures": ("stop", "finish")}


@dataclass(frozen=True, kw_only=True)
class Datasets:
    """The slugs of the Kaggle datasets that hold the bundles."""

    libs: str = "rsna-bundle-libs"
    model: str = "rsna-bundle-model"
    code: str = "rsna-bundle-code"
    cache: str = "rsna-bundle-cache"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the commands share; each key is also an option of the commands that use it."""

    root: Path
    owner: str | None = None
    competition: str = "rsna-breast-cancer-detection"
    datasets: Datasets = field(default_factory=Datasets)
    notebook: str = "rsna-bundle-submission"
    target: str = "kaggle-gpu-2026-10"
    hidden_images: int = 32000
    time_limit_hours: float = 9.0
    accelerator: str = "NvidiaTeslaT4"
    requirements: str = "wheelhouse.txt"
    output: str = "binary"
    on_failures: str = "stop"
    hidden: Hidden = field(default_factory=Hidden)

    @property
    def dist(self) -> Path:
        """Return the folder that the bundles go to."""
        return self.root / "dist"


def load(start: Path | None = None) -> Settings:
    """Read the settings that hold in a folder: the nearest pyproject.toml upwards, or defaults."""
    start = (start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        path = folder / "pyproject.toml"
        if path.is_file():
            return _parse(path)
    return Settings(root=start)


def override(settings: Settings, given: Mapping[str, Any]) -> Settings:
    """Return the settings with the options of a command that were given (are not None)."""
    names = {entry.name for entry in fields(Settings)}
    said = {key: value for key, value in given.items() if key in names and value is not None}
    return replace(settings, **said)


def _parse(path: Path) -> Settings:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}.") from error
    table = document.get("tool", {}).get("rsna-bundle", {})
    values = _checked(table, Settings, path, "tool.rsna-bundle", left_out=("root",))
    if "datasets" in values:
        place = "tool.rsna-bundle.datasets"
        values["datasets"] = Datasets(**_checked(values["datasets"], Datasets, path, place))
    if "hidden" in values:
        values["hidden"] = hidden.parse(values["hidden"], f"{path}: [tool.rsna-bundle.hidden]")
    return Settings(root=path.parent, **values)


def _checked(
    table: Any, schema: type, path: Path, place: str, left_out: tuple[str, ...] = ()
) -> dict[str, Any]:
    if not isinstance(table, Mapping):
        raise UsageError(f"{path}: [{place}] must be a table.")
    names = [entry.name for entry in fields(schema) if entry.name not in left_out]
    hints = get_type_hints(schema)
    for key, value in table.items():
        if key not in names:
            near = difflib.get_close_matches(key, names, n=1)
            meant = f" Did you mean {near[0]}?" if near else ""
            raise UsageError(
                f"{path}: [{place}] has no key {key}.{meant} Its keys are {', '.join(names)}."
            )
        _check_value(key, value, hints[key], f"{path}: [{place}] {key}")
    return dict(table)


def _check_value(key: str, value: Any, hint: Any, where: str) -> None:
    if hint in (Datasets, Hidden):  # tables, which have checks of their own
        return
    allowed = tuple(kind for kind in get_args(hint) or (hint,) if kind is not type(None))
    fits = isinstance(value, (*allowed, *((int,) if float in allowed else ())))
    if not fits or (isinstance(value, bool) and bool not in allowed):
        raise UsageError(f"{where} is {value!r}; it must be {allowed[0].__name__}.")
    if key in CHOICES and value not in CHOICES[key]:
        raise UsageError(f"{where} is {value!r}; it must be {' or '.join(CHOICES[key])}.")
