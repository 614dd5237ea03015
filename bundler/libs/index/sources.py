"""Where packages come from: the indexes that pip or uv are configured with on this machine.

They decide where to look, and go into no bundle and no lock.
"""

import configparser
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Indexes (PEP 503) and folders or pages of links."""

    index: str | None = None
    extra: tuple[str, ...] = ()
    links: tuple[str, ...] = ()

    @property
    def indexes(self) -> tuple[str, ...]:
        """Return all indexes; the first that has a package is the one it is taken from.

        Extra ones come first, as uv has it: they are the private ones, whose names nobody may take
        over on the default index. "" stands for no default index.
        """
        from pip._internal.models.index import PyPI  # pip knows where one looks by default

        own = self.index if self.index is not None else PyPI.simple_url
        return tuple(dict.fromkeys(url.rstrip("/") for url in (*self.extra, own) if url))


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
