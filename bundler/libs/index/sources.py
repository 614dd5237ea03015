"""Where packages come from: what the requirements say, and what pip or uv are configured with here.

An index goes into no bundle; a lock names it without credentials, as the origin of a package.
"""

import configparser
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.libs.index import web
from bundler.libs.index.references import Reference

if TYPE_CHECKING:
    from bundler.libs.index.simple_api import File


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Indexes (PEP 503), folders or pages of links, and which of them single packages come from."""

    index: str | None = field(default=None, repr=False)  # URLs may hold credentials
    extra: tuple[str, ...] = field(default=(), repr=False)
    links: tuple[str, ...] = field(default=(), repr=False)
    base: Path | None = None  # paths are named relative to it
    pinned: Mapping[str, str] = field(default_factory=dict, repr=False)  # package → its only index
    direct: Mapping[str, Reference] = field(default_factory=dict)  # package → its only place
    given: Mapping[str, "File"] = field(default_factory=dict)  # what those of `direct` became

    @property
    def indexes(self) -> tuple[str, ...]:
        """Return all indexes; the first that has a package is the one it is taken from.

        Extra ones come first, as uv has it: they are the private ones, whose names nobody may take
        over on the default index. "" stands for no default index.
        """
        own = self.index if self.index is not None else default_index()
        return tuple(dict.fromkeys(url.rstrip("/") for url in (*self.extra, own) if url))

    def indexes_for(self, name: str) -> tuple[str, ...]:
        """Return the indexes that may have a package: the one it is pinned to, else all."""
        pinned = self.pinned.get(name)
        return self.indexes if pinned is None else (pinned.rstrip("/"),)

    def shown(self, location: str) -> str:
        """Return how a lock names an index or a folder: without credentials, paths relative."""
        if "://" in location or self.base is None:
            return web.shown(location)
        return Path(os.path.relpath(location, self.base)).as_posix()


def default_index() -> str:
    """Return the index where one looks if nothing is configured."""
    from pip._internal.models.index import PyPI  # pip knows it

    return str(PyPI.simple_url).rstrip("/")


def configured(own: Sources) -> Sources:
    """Complete what a requirements file says with pip's and uv's settings on this machine."""
    settings = dict(_pip_settings())
    index = own.index
    if index is None and _truthy(settings.get("no-index", "")):
        index = ""
    if index is None:
        index = os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("UV_INDEX_URL")
    extra = [*settings.get("extra-index-url", "").split(), *_environment("UV_INDEX")]
    extra += _environment("UV_EXTRA_INDEX_URL")
    links = settings.get("find-links", "").split() + _environment("UV_FIND_LINKS")
    return replace(
        own,
        index=settings.get("index-url") if index is None else index,
        extra=tuple(dict.fromkeys([*own.extra, *(url.rpartition("=")[2] for url in extra)])),
        links=tuple(dict.fromkeys([*own.links, *links])),
    )


def pip_connection() -> dict[str, str]:
    """Return pip's settings of how to connect, as an environment for pip itself."""
    keys = ("cert", "client-cert", "proxy", "trusted-host", "timeout", "default-timeout")
    settings = {key: value for key, value in _pip_settings() if key in keys}
    return {
        f"PIP_{key.upper().replace('-', '_')}": " ".join(v.split()) for key, v in settings.items()
    }


def _environment(name: str) -> list[str]:
    return os.environ.get(name, "").replace(",", " ").split()


def _truthy(value: str) -> bool:
    return value.strip().lower() in {"1", "true", "yes", "on", "t", "y"}


def _pip_settings() -> Iterator[tuple[str, str]]:
    """Yield pip's global settings, weakest first: configuration files, then PIP_*."""
    for path in _pip_files():
        parser = configparser.RawConfigParser()
        try:
            parser.read(path, encoding="utf-8")
        except (OSError, configparser.Error):
            continue  # pip itself says what is wrong with it
        for section in ("global", "install"):
            if parser.has_section(section):
                for key, value in parser.items(section):
                    yield key.replace("_", "-"), value
    for name, value in os.environ.items():
        if name.startswith("PIP_"):
            yield name.removeprefix("PIP_").lower().replace("_", "-"), value


def _pip_files() -> Iterator[Path]:
    """Yield the configuration files of pip (pip's documentation, "Configuration")."""
    own = os.environ.get("PIP_CONFIG_FILE")
    if own == os.devnull:  # pip's way to say: no configuration file at all
        return
    home = Path.home()
    if sys.platform == "win32":
        name = "pip.ini"
        yield Path(os.environ.get("PROGRAMDATA", "C:/ProgramData")) / "pip" / name
        yield Path(os.environ.get("APPDATA", home)) / "pip" / name
    else:
        name = "pip.conf"
        folders = os.environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(os.pathsep)
        yield from (Path(folder) / "pip" / name for folder in folders)
        yield Path("/etc") / name
        yield home / ".pip" / name
        yield Path(os.environ.get("XDG_CONFIG_HOME", home / ".config")) / "pip" / name
        if sys.platform == "darwin":
            yield home / "Library" / "Application Support" / "pip" / name
    yield Path(sys.prefix) / name
    if own:
        yield Path(own)
