"""What a run tried that fails on Kaggle: the network, and writing where it must not."""

import ipaddress
from collections.abc import Iterable, Iterator, Sequence

from bundler.rehearse.run.audit_hook import MOST, Event
from bundler.rehearse.run.notebook_run import NotebookRun

SHOWN = 5  # paths that a message names
HUBS = ("huggingface", "download.pytorch")


def tried(run: NotebookRun) -> Iterator[str]:
    """Yield each host that a run tried to reach, and from where in the code."""
    events = [event for event in run.events if event.kind == "network"]
    sites = _sites(events)
    for what, callers in sites.items():
        hub = any(name in what for name in HUBS)
        why = " (a pretrained model would be downloaded: pass pretrained=False)" if hub else ""
        yield f"The run tried to reach {what}{why}, from {_callers(callers)}"
    hosts = {what.rpartition(":")[0] or what for what in sites}
    for name in run.names:
        if name not in hosts:
            yield f"A program other than Python looked up {name} (see the log)"
    # Python's own attempts are packets, too: what is left was sent by somebody else.
    yield from _native(run.lost_packets - sum(map(_sends, events)), len(run.events))


def written(run: NotebookRun) -> Iterator[str]:
    """Yield each path that a run tried to write where Kaggle does not allow it."""
    sites = _sites(event for event in run.events if event.kind == "write")
    for path, callers in list(sites.items())[:SHOWN]:
        why = (
            "the input is read-only" if path.startswith("/kaggle/input") else "read-only on Kaggle"
        )
        yield f"The run tried to write {path} ({why}), from {_callers(callers)}"
    if len(sites) > SHOWN:
        yield f"and {len(sites) - SHOWN} more"


def _sites(events: Iterable[Event]) -> dict[str, Sequence[str]]:
    """Return the call sites of what was tried, those of the first time."""
    sites: dict[str, Sequence[str]] = {}
    for event in events:
        sites.setdefault(event.what, event.sites)
    return sites


def _callers(sites: Sequence[str]) -> str:
    return " ← ".join(sites[:3]) or "Python itself"


def _native(packets: int, noted: int) -> Iterator[str]:
    """Say what the kernel counted and Python did not note."""
    # Beyond MOST the hook notes nothing, so the difference would mean nothing.
    if packets > 0 and noted < MOST:
        yield (
            f"{packets} {'packet' if packets == 1 else 'packets'} to an address outside had no "
            "route, and Python sent none of them: native code tried the network. Which code, and "
            "which address, the kernel does not say. Look among the libraries and programs that "
            "the run loads for what sends telemetry or fetches models."
        )


def _sends(event: Event) -> bool:
    """Say whether an attempt that Python noted sent a packet: one that knew an address."""
    if event.event not in ("socket.connect", "socket.sendto"):
        return False
    try:
        ipaddress.ip_address(event.what.rpartition(":")[0])
    except ValueError:
        return False  # a name, which nobody resolved
    return True
