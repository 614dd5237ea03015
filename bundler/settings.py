"""[tool.rsna-bundle] in pyproject.toml: the settings of a repository."""

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from bundler import hidden
from bundler.errors import UsageError
from bundler.hidden import Hidden

NO_ACCELERATOR = ("none", "cpu")  # what people write for a machine without one
RENAMED = {"hidden_images": "hidden_units"}  # old names that are still read
CHOICES = {"output": ("binary", "probability"), "on_failures": ("stop", "finish")}


@dataclass(frozen=True, kw_only=True)
class Datasets:
    """The slugs of the Kaggle datasets that hold the bundles."""

    libs: str = "rsna-bundle-libs"
    model: str = "rsna-bundle-model"
    code: str = "rsna-bundle-code"
    cache: str = "rsna-bundle-cache"


@dataclass(frozen=True, kw_only=True)
class Gateway:
    """What a gateway's package does not say of its calls, and a rehearsal must know."""

    ordered: bool = False  # each call depends on those before it, as in a time series


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the commands share; each key is also an option of the commands that use it."""

    root: Path
    owner: str | None = None
    competition: str = "rsna-breast-cancer-detection"
    competition_dir: str = ""  # the folder with the competition's files, relative to the root
    run: str | None = None  # the notebook's command; None: the runner, python -m inference.run
    datasets: Datasets = field(default_factory=Datasets)
    notebook: str = "rsna-bundle-submission"
    target: tuple[str, ...] = ("kaggle-gpu-2026-10",)  # a text or a list of them in the file
    hidden_units: int = 32000  # rows, studies or images; of screening mammography: images
    time_limit_hours: float = 9.0
    accelerator: str = "NvidiaTeslaT4"  # "": none
    docker_image: str = ""  # NAME@sha256:… or "latest"; "": the target's, or the last good run's
    requirements: str = "wheelhouse.txt"
    output: Literal["binary", "probability"] = "binary"
    on_failures: str = "stop"
    image_packages: tuple[str, ...] = ()  # that a rehearsal's image holds, besides those found
    hidden: Hidden = field(default_factory=Hidden)
    gateway: Gateway = field(default_factory=Gateway)

    @property
    def dist(self) -> Path:
        """Return the folder for bundles."""
        return self.root / "dist"

    @property
    def competition_folder(self) -> Path | None:
        """Return the folder with the competition's files; None where the settings name none."""
        return self.root / self.competition_dir if self.competition_dir else None


def load(start: Path | None = None) -> Settings:
    """Read the settings from the nearest pyproject.toml upwards, if any. Raises UsageError."""
    start = (start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        path = folder / "pyproject.toml"
        if path.is_file():
            return _parse(path)
    return Settings(root=start)


def override(
    settings: Settings,
    *,
    competition: str | None = None,
    target: tuple[str, ...] = (),
    hidden_units: int | None = None,
    time_limit_hours: float | None = None,
    on_failures: str | None = None,
    run: str | None = None,
) -> Settings:
    """Return the settings with a command's options in place of the keys; None or () keeps one."""
    return replace(
        settings,
        competition=competition or settings.competition,
        target=target or settings.target,
        hidden_units=hidden_units or settings.hidden_units,
        time_limit_hours=time_limit_hours or settings.time_limit_hours,
        on_failures=on_failures or settings.on_failures,
        run=run or settings.run,
    )


def _parse(path: Path) -> Settings:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"Could not read {path}: {error}.") from error
    table = _targets_listed(_renamed(document.get("tool", {}).get("rsna-bundle", {}), path), path)
    values = _checked(table, Settings, path, "tool.rsna-bundle", left_out=("root",))
    if "datasets" in values:
        where = "tool.rsna-bundle.datasets"
        values["datasets"] = Datasets(**_checked(values["datasets"], Datasets, path, where))
    if "gateway" in values:
        where = "tool.rsna-bundle.gateway"
        values["gateway"] = Gateway(**_checked(values["gateway"], Gateway, path, where))
    if "accelerator" in values and values["accelerator"].lower() in NO_ACCELERATOR:
        values["accelerator"] = ""
    if "hidden" in values:
        values["hidden"] = hidden.parse(values["hidden"], f"{path}: [tool.rsna-bundle.hidden]")
    for key in ("image_packages", "target"):
        if key in values:
            values[key] = tuple(values[key])
    return Settings(root=path.parent, **values)


def _renamed(table: Any, path: Path) -> Any:
    """Return the table with its old key names replaced by today's."""
    if not isinstance(table, Mapping):
        return table  # which `_checked` refuses
    for old, new in RENAMED.items():
        if old in table and new in table:
            raise UsageError(
                f"{path}: [tool.rsna-bundle] has both {new} and {old}, its old name. Remove {old}."
            )
    return {RENAMED.get(key, key): value for key, value in table.items()}


def _targets_listed(table: Any, path: Path) -> Any:
    """Return the table with its `target` as a list, whether it names one or several."""
    if not isinstance(table, Mapping) or "target" not in table:
        return table
    target = table["target"]
    if isinstance(target, str):
        return {**table, "target": [target]}
    if isinstance(target, list) and len(target) != len({str(name) for name in target} - {""}):
        raise UsageError(f"{path}: [tool.rsna-bundle] target names one target twice, or none.")
    if target == []:
        raise UsageError(f"{path}: [tool.rsna-bundle] target is empty. Name a target, or several.")
    return table


def _checked(
    table: Any, schema: type, path: Path, section: str, left_out: tuple[str, ...] = ()
) -> dict[str, Any]:
    if not isinstance(table, Mapping):
        raise UsageError(f"{path}: [{section}] must be a table.")
    names = [entry.name for entry in fields(schema) if entry.name not in left_out]
    hints = get_type_hints(schema)
    for key, value in table.items():
        if key not in names:
            near = difflib.get_close_matches(key, names, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise UsageError(
                f"{path}: unknown key {key!r} in [{section}].{hint} Its keys are "
                f"{', '.join(names)}."
            )
        _check_value(key, value, hints[key], f"{path}: [{section}] {key}")
    return dict(table)


def _check_value(key: str, value: Any, hint: Any, where: str) -> None:
    if hint in (Datasets, Gateway, Hidden):  # tables, which have checks of their own
        return
    if hint == tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise UsageError(f"{where} is {value!r}; it must be a list of text.")
        return
    if get_origin(hint) is Literal:
        hint = str  # which texts it may be is in CHOICES
    allowed = tuple(kind for kind in get_args(hint) or (hint,) if kind is not type(None))
    fits = isinstance(value, (*allowed, *((int,) if float in allowed else ())))
    if not fits or (isinstance(value, bool) and bool not in allowed):
        raise UsageError(f"{where} is {value!r}; it must be {allowed[0].__name__}.")
    if key in CHOICES and value not in CHOICES[key]:
        raise UsageError(f"{where} is {value!r}; it must be {' or '.join(CHOICES[key])}.")
