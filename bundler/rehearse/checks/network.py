"""What a run tried that fails on Kaggle: the network, and writing where it must not."""

import ipaddress
from collections.abc import Iterable, Iterator, Sequence

from bundler.competition.check import Check, verdict
from bundler.rehearse.run.audit_hook import MOST, Event
from bundler.rehearse.run.notebook_run import NotebookRun

SHOWN = 5  # paths that a message names
HUBS = ("huggingface", "download.pytorch")
# Libraries that ask the network on their own, by their folder, and what keeps them from it.
QUERIES = {
    "albumentations": "NO_ALBUMENTATIONS_UPDATE=1",  # waits for a minute where nobody answers
    "ultralytics": "YOLO_OFFLINE=true",
    "wandb": "WANDB_MODE=offline",
}
SURVIVED = (
    "The connection failed, the code went on, and the run ended well; so it will on Kaggle, where "
    "an attempt may last until its timeout, a minute or more."
)


def check(run: NotebookRun) -> Check:
    """Return whether a run tried to use the network, and whether that matters.

    What a run survives is a remark, since on Kaggle the connection fails in the same way. Weights
    that were not fetched are an error all the same: the model would predict without them.
    """
    problems = list(tried(run))
    if not problems or run.returncode != 0 or any(_of_hub(event.what) for event in _events(run)):
        return verdict("network", problems, "no attempt to use it")
    return Check(name="network", status="unproven", message="\n".join([*problems, SURVIVED]))


def _events(run: NotebookRun) -> list[Event]:
    return [event for event in run.events if event.kind == "network"]


def _of_hub(host: str) -> bool:
    return any(name in host for name in HUBS)


def tried(run: NotebookRun) -> Iterator[str]:
    """Yield each host that a run tried to reach, and from where in the code."""
    events = _events(run)
    sites = _sites(events)
    for what, callers in sites.items():
        yield f"The run tried to reach {what}{_reason(what, callers)}, from {_callers(callers)}"
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


def _reason(host: str, callers: Sequence[str]) -> str:
    """Say why a host is asked and how to prevent it, in brackets; "" where that is not known."""
    if _of_hub(host):
        return " (a pretrained model would be downloaded: pass pretrained=False)"
    for library, variable in QUERIES.items():
        if any(f"/{library}/" in site for site in callers):
            name, _, value = variable.partition("=")
            return (
                f" ({library} asks for news of itself: set {variable}, by "
                f'os.environ["{name}"] = "{value}" before it is imported)'
            )
    return ""


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
