"""Run the commands of a rehearsal inside its room, and save what is to be kept of it.

`python supervise.py SPEC.json`, the standard library only. The room's folders in memory vanish
with it, so what is worth keeping is copied to the folder `out` before.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

KEPT_BYTES = 64 << 20  # a larger file is listed, not copied
REFUSED = 0x8185  # a DNS answer's flags: response, recursion, refused


def main(arguments: list[str]) -> int:
    """Run each command; stop after the first that fails."""
    spec = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    out = Path(spec["out"])
    if hasattr(os, "sched_setaffinity"):  # macOS has none
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: spec["cpus"]])
    listen_for_names(spec["names"])
    for number, step in enumerate(spec["steps"]):
        before = sent_nowhere()
        ended = run(step, out / f"{step['name']}.log")
        if number == 0:
            ended |= {"sent_nowhere": sent_nowhere() - before}
            ended |= {"working": keep(Path(spec["working"]), out / "working")}
            ended |= {"home": listed(Path(spec["home"])), "disk_bytes": used(Path(spec["tmp"]))}
        (out / f"{step['name']}.json").write_text(json.dumps(ended), encoding="utf-8")
        if ended["returncode"]:
            return 1
    return 0


def run(step: dict[str, Any], log: Path) -> dict[str, Any]:
    """Run one command and return how it ended and how long it took."""
    start = time.time()
    with log.open("wb") as sink:
        code = subprocess.call(
            step["command"],
            cwd=step["cwd"],
            env=os.environ | step["env"],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
        )
    return {"returncode": code, "start": start, "end": time.time()}


def keep(folder: Path, place: Path) -> dict[str, int]:
    """Copy the small files of a folder; return the size of each, in bytes."""
    sizes = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = str(path.relative_to(folder))
        sizes[name] = path.stat().st_size
        if sizes[name] <= KEPT_BYTES:
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place / name)
    return sizes


def listed(folder: Path) -> list[str]:
    """Return the first files in a folder, by their name there."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return sorted(str(path.relative_to(folder)) for path in files)[:200]


def used(folder: Path) -> int:
    """Return the bytes of all files in a folder."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


def sent_nowhere() -> int:
    """Return how many packets had no route, as this network namespace's kernel counts (RFC 4293).

    In a network of loopback alone, each is an attempt to reach another machine by its address.
    """
    try:
        names, values = [
            line.split() for line in _lines("/proc/net/snmp") if line.startswith("Ip:")
        ]
        counted = int(dict(zip(names, values, strict=True))["OutNoRoutes"])
        newer = [line.split() for line in _lines("/proc/net/snmp6")]
        return counted + sum(int(words[1]) for words in newer if words[0] == "Ip6OutNoRoutes")
    except (OSError, ValueError, KeyError):
        return 0  # a kernel that does not count


def _lines(path: str) -> list[str]:
    return Path(path).read_text(encoding="utf-8").splitlines() if os.path.exists(path) else []


def listen_for_names(log: str) -> None:
    """Refuse every question for a name at once, and note it: programs other than Python ask, too.

    Without somebody who answers, each question would wait for seconds.
    """
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        server.bind(("127.0.0.1", 53))
    except OSError:
        server.close()
        return
    threading.Thread(target=_answer, args=(server, log), daemon=True).start()


def _answer(server: socket.socket, log: str) -> None:
    while True:
        question, sender = server.recvfrom(4096)
        name = _name(question)
        with open(log, "a", encoding="utf-8") as sink:
            sink.write(name + "\n")
        flags = REFUSED.to_bytes(2, "big")
        server.sendto(question[:2] + flags + question[4:6] + bytes(6) + question[12:], sender)


def _name(question: bytes) -> str:
    labels, at = [], 12
    while at < len(question) and question[at]:
        labels.append(question[at + 1 : at + 1 + question[at]].decode(errors="replace"))
        at += question[at] + 1
    return ".".join(labels)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
