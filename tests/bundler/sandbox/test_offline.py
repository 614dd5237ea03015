"""The sandbox: no network but loopback, folders that cannot be written."""

import os
import sys
from pathlib import Path

import pytest

from bundler.errors import CommandError
from bundler.sandbox import offline

needs_sandbox = pytest.mark.skipif(
    offline.why_not() is not None and "CI" not in os.environ,
    reason=f"no sandbox on this machine: {offline.why_not()}",
)

INTERFACES = "import socket; print([name for _, name in socket.if_nameindex()])"
LOOPBACK = """
import socket
with socket.create_server(("127.0.0.1", 0)) as server:
    socket.create_connection(server.getsockname()).close()
print("connected")
"""


@needs_sandbox
def test_has_loopback_and_nothing_else() -> None:
    assert offline.run([sys.executable, "-c", INTERFACES]).stdout == "['lo']\n"
    assert offline.run([sys.executable, "-c", LOOPBACK]).stdout == "connected\n"


@needs_sandbox
def test_keeps_the_network_where_asked() -> None:
    here = [name for _, name in __import__("socket").if_nameindex()]
    result = offline.run([sys.executable, "-c", INTERFACES], network=True)
    assert result.stdout == f"{here}\n"


@needs_sandbox
def test_makes_folders_read_only_inside_alone(tmp_path: Path) -> None:
    (tmp_path / "input").mkdir()
    write = f"open({str(tmp_path / 'input' / 'x')!r}, 'w')"
    with pytest.raises(CommandError, match="Read-only file system"):
        offline.run([sys.executable, "-c", write], read_only=[tmp_path / "input"])
    (tmp_path / "input" / "x").touch()


@needs_sandbox
def test_passes_folder_environment_and_exit_code_through(tmp_path: Path) -> None:
    code = "import os, sys; print(os.getcwd(), os.environ['MARK']); sys.exit(7)"
    result = offline.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"MARK": "here"},
        check=False,
    )
    assert (result.returncode, result.stdout) == (7, f"{tmp_path} here\n")
