"""The audit hook: what a Python tries is noted with its call site, and nothing else is."""

import json
import os
import subprocess
import sys
from pathlib import Path

from bundler.rehearse.run import audit_hook
from bundler.rehearse.run.audit_hook import Event

TRIES = """
import json, os, socket, tempfile
def phone():
    try:
        socket.create_connection(("192.0.2.1", 443), timeout=0.01)
    except OSError:
        pass
phone()
with socket.create_server(("127.0.0.1", 0)) as server:
    socket.create_connection(server.getsockname()).close()
pair = socket.socketpair()
open("/tmp/rsna-bundle-hook-test", "w").close()
os.remove("/tmp/rsna-bundle-hook-test")
open(__file__).read()
open(os.path.expanduser("~/.settings-of-a-library"), "w").close()
open(os.devnull, "w").close()
try:
    open("/nonexistent/weights.pt", "wb")
except OSError:
    pass
"""


def events(tmp_path: Path, code: str) -> list[Event]:
    """Return what is noted while a script runs, in a process of its own."""
    (tmp_path / "hook").mkdir()
    (tmp_path / "hook" / "sitecustomize.py").write_bytes(Path(audit_hook.__file__).read_bytes())
    (tmp_path / "script.py").write_text(code)
    log = tmp_path / "events.jsonl"
    (tmp_path / "home").mkdir()
    settings = {"PYTHONPATH": str(tmp_path / "hook"), "REHEARSAL_EVENTS": str(log)}
    settings["HOME"] = str(tmp_path / "home")  # where a notebook may write
    subprocess.run(
        [sys.executable, tmp_path / "script.py"],
        env=os.environ | settings | {"PYTHONDONTWRITEBYTECODE": "1"},
        check=True,
    )
    return [Event(**json.loads(line)) for line in log.read_text().splitlines()]


def test_notes_the_network_and_writes_elsewhere_alone(tmp_path: Path) -> None:
    noted = events(tmp_path, TRIES)
    assert {(one.kind, one.what) for one in noted} == {
        ("network", "192.0.2.1:443"),
        ("write", "/nonexistent/weights.pt"),
    }
    network = next(one for one in noted if one.kind == "network")
    assert network.sites[0] == f"{tmp_path / 'script.py'}:5 in phone"
    assert network.sites[1] == f"{tmp_path / 'script.py'}:8 in <module>"


def test_many_events_do_not_fill_the_disk(tmp_path: Path) -> None:
    code = (
        "for number in range(1000):\n"
        "    try:\n"
        "        open(f'/nonexistent/{number}', 'w')\n"
        "    except OSError:\n"
        "        pass\n"
    )
    assert len(events(tmp_path, code)) == audit_hook.MOST
