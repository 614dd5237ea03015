"""A network that the user's own function builds: `--factory module:function`.

The only code of the user's that an export runs, and only where the option names it. It is imported
into this process, since what it returns is exported from memory; so the modules of theirs that are
named as ours (`train.py` is common) take our places in `sys.modules` while it runs.
"""

import contextlib
import importlib
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from bundler.errors import InputError, UsageError
from inference.boot.fields import Plain

OURS = ("bundler", "inference", "train", "rsna_bundle")
_TAIL = 6  # lines of a traceback that a message repeats


@dataclass(frozen=True, kw_only=True)
class Factory:
    """A function of the user's repository, by the names of its module and its own."""

    module: str
    function: str
    root: Path

    @property
    def name(self) -> str:
        """Return it as it was named."""
        return f"{self.module}:{self.function}"

    def build(self, kwargs: Mapping[str, Plain]) -> nn.Module:
        """Call the function and return the network. Raises InputError, UsageError."""
        with _imported_from(self.root), contextlib.redirect_stdout(sys.stderr):
            function = self._import()
            _check_arguments(self.name, function, kwargs)
            try:
                network = function(**kwargs)
            except (Exception, SystemExit) as error:
                raise InputError(
                    f"{self.name} failed, called in {self.root}:\n{_tail(error)}"
                ) from error
        if not isinstance(network, nn.Module):
            raise InputError(
                f"{self.name} returned a {type(network).__name__}, not a torch.nn.Module. Let it "
                "return the network itself, without weights or with any: the checkpoint's are "
                "loaded into it."
            )
        return network

    def _import(self) -> Callable[..., object]:
        try:
            module = importlib.import_module(self.module)
        except ModuleNotFoundError as error:
            if error.name is None or not (self.module + ".").startswith(error.name + "."):
                raise InputError(
                    f"{self.module} needs the module {error.name}, which is not installed in "
                    f"{sys.executable}. Install it there."
                ) from error
            raise UsageError(
                f"There is no module {error.name} in {self.root}, so --factory {self.name} cannot "
                "be imported. Name it from the repository's root, as in "
                "mypackage.models:build_model."
            ) from error
        except (Exception, SystemExit) as error:
            ended = isinstance(error, SystemExit)
            advice = (
                "\nA module that runs on import needs `if __name__ == '__main__':`."
                if ended
                else ""
            )
            raise InputError(
                f"{self.module} cannot be imported from {self.root}:\n{_tail(error)}{advice}"
            ) from error
        function: Callable[..., object] | None = getattr(module, self.function, None)
        if not callable(function):
            listed = [name for name, one in vars(module).items() if callable(one)]
            own = [name for name in listed if not name.startswith("_")][:8]
            raise UsageError(
                f"{module.__name__} ({getattr(module, '__file__', '?')}) has no function "
                f"{self.function}. It has {', '.join(own) or 'none'}."
            )
        return function


def parse(text: str, root: Path) -> Factory:
    """Return the factory that `module:function` names. Raises UsageError."""
    module, colon, function = text.partition(":")
    parts = [*module.split("."), function]
    if not colon or not all(part.isidentifier() for part in parts):
        meant = module.removesuffix(".py").replace("/", ".")
        raise UsageError(
            f"--factory {text!r} is not module:function, such as "
            f"{meant if meant.replace('.', '').isidentifier() else 'models'}:"
            f"{function or 'build_model'}."
        )
    return Factory(module=module, function=function, root=root.resolve())


@contextlib.contextmanager
def _imported_from(root: Path) -> Iterator[None]:
    """Let imports find the user's repository (and its `src/`) first, and leave no trace of it."""
    folders = [str(one) for one in (root, root / "src") if one.is_dir()]
    hidden = {
        name: module
        for name, module in sys.modules.items()
        if _may_hide(name, module) and _is_theirs(name.partition(".")[0], folders)
    }
    path, written = list(sys.path), sys.dont_write_bytecode
    sys.path[:0] = folders
    sys.dont_write_bytecode = True  # their working tree stays as it is
    for name in hidden:
        del sys.modules[name]
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:], sys.dont_write_bytecode = path, written
        tops = {name.partition(".")[0] for name in hidden}
        for name in [name for name in sys.modules if name.partition(".")[0] in tops]:
            del sys.modules[name]
        sys.modules.update(hidden)


def _may_hide(name: str, module: ModuleType) -> bool:
    """Say whether a loaded module may give way: ours, and that of another repository."""
    place = getattr(module, "__file__", None)
    installed = place is None or place.startswith((sys.prefix, sys.base_prefix))
    return name.partition(".")[0] in OURS or not installed


def _is_theirs(name: str, folders: list[str]) -> bool:
    """Say whether the user's repository has a module of this name, and it is not our own."""
    own = Path(__file__).parents[2].resolve()
    return any(
        (Path(folder) / name).is_dir() or (Path(folder) / f"{name}.py").is_file()
        for folder in folders
        if Path(folder).resolve() != own
    )


def _check_arguments(
    name: str, function: Callable[..., object], kwargs: Mapping[str, Plain]
) -> None:
    try:
        signature = inspect.signature(function)
        signature.bind(**kwargs)
    except TypeError as error:
        raise UsageError(
            f"{name}{signature} cannot be called with what --model-kwarg gives "
            f"({', '.join(kwargs) or 'nothing'}): {error}."
        ) from error
    except ValueError:  # a callable without a signature: the call itself says what is wrong
        return


def _tail(error: BaseException) -> str:
    """Return the end of a traceback, our own frames left out."""
    extracted: list[Any] = [
        frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__
    ]
    lines = "".join(traceback.format_list(extracted[-_TAIL // 2 :])).splitlines()
    return "\n".join([*lines, f"{type(error).__name__}: {error}"])
