"""The ways to make a sandbox, and which of them this machine has."""

import os
from pathlib import Path

import pytest

from bundler.sandbox import backends

each_backend = pytest.mark.parametrize("backend", ["bubblewrap", "namespaces"])


def need(backend: str) -> None:
    """Skip where a backend does not work, but never in CI."""
    reason = backends.reasons()[backend]
    if reason and "CI" not in os.environ:
        pytest.skip(reason)


def processes_with(mark: str) -> list[int]:
    """Return the running processes one of whose words holds a mark."""
    pids = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if mark.encode() in path.read_bytes() and int(path.parent.name) != os.getpid():
                pids.append(int(path.parent.name))
        except OSError:
            continue
    return pids
