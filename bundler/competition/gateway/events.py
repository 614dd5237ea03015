"""What the driver noted of a gateway: its calls, what it shared, when a server began to serve."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bundler.competition.gateway.driver import Event
from inference.boot.fields import load_json, parse_as


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call of the notebook's server; times are seconds since 1970."""

    number: int
    endpoint: str
    host: str = ""  # the server's name
    began: float
    ended: float
    deadline: float | None  # seconds; the first call of each server has none
    error: str = ""  # the exception's name; "" where an answer came
    answer: str = ""  # the answer's type
    shape: tuple[int, ...] = ()
    columns: tuple[str, ...] = ()
    rounded: bool = False  # a number so large that float32 has lost its last digits
    ids: tuple[str, ...] = ()  # rows that it is about, where the gateway yields batches
    opens: bool = False  # the first call about these rows: of several servers, each gets one
    first: bool = False  # the first of its server

    @property
    def seconds(self) -> float:
        """Return how long it took."""
        return self.ended - self.began


@dataclass(frozen=True, kw_only=True)
class Events:
    """All that was noted of one run of the gateway."""

    calls: tuple[Call, ...] = ()
    serving: Mapping[str, float]  # host → when it began to serve
    ports: Mapping[str, int] = field(default_factory=dict)  # host → where it serves
    shared: Mapping[str, float]  # path below /kaggle/shared → when it was shared
    started: float | None = None
    ended: float | None = None  # None: it did not come to its end

    @property
    def serving_since(self) -> float | None:
        """Return when all servers had begun to serve; None where none did.

        A run may be over before anybody looked: then the first answer shows it.
        """
        answered = (call.ended for call in self.calls if not call.error)
        return max(self.serving.values(), default=next(answered, None))

    @property
    def first(self) -> Call | None:
        """Return the first call of all, which waits for the server."""
        return self.calls[0] if self.calls else None

    @property
    def later(self) -> tuple[Call, ...]:
        """Return the calls that a deadline is set for: all but the first of each server."""
        return tuple(call for call in self.calls if not call.first)

    @property
    def batches(self) -> tuple[tuple[str, ...], ...]:
        """Return the row ids of each batch, in the order of the calls."""
        return tuple(call.ids for call in self.calls if call.opens)

    @property
    def order(self) -> tuple[str, ...]:
        """Return the row ids in the order of the calls."""
        return tuple(name for ids in self.batches for name in ids)


def read(path: Path) -> Events:
    """Read the driver's log; a line that was cut off when the gateway was ended is left out."""
    calls: list[Call] = []
    serving: dict[str, float] = {}
    ports: dict[str, int] = {}
    shared: dict[str, float] = {}
    times: dict[str, float] = {}
    ids: tuple[str, ...] = ()
    called: set[str] = set()
    opens = False
    for event in _lines(path):
        if event.kind == "batch":
            ids, opens = event.ids, bool(event.ids)
        elif event.kind == "call":
            first = event.host not in called
            calls.append(_call(event, len(calls) + 1, ids=ids, opens=opens, first=first))
            opens = False
            called.add(event.host)
        elif event.kind == "serving":
            serving.setdefault(event.host, event.time)
            ports.setdefault(event.host, event.port)
        elif event.kind == "share":
            shared |= {name: event.time for name in event.paths if name not in shared}
        else:
            times[event.kind] = event.time
    return Events(
        calls=tuple(calls),
        serving=serving,
        ports=ports,
        shared=shared,
        started=times.get("start"),
        ended=times.get("end"),
    )


def _call(event: Event, number: int, *, ids: tuple[str, ...], opens: bool, first: bool) -> Call:
    return Call(
        number=number,
        endpoint=event.endpoint,
        host=event.host,
        began=event.began,
        ended=event.time,
        deadline=None if first else event.deadline,
        error=event.error,
        answer=event.answer,
        shape=event.shape,
        columns=event.columns,
        rounded=event.rounded,
        ids=ids,
        opens=opens,
        first=first,
    )


def _lines(path: Path) -> Iterator[Event]:
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    for line in text.splitlines():
        with contextlib.suppress(ValueError):
            yield parse_as(Event, load_json(line))
