"""What the driver noted of a gateway: its calls, what it shared, when a server began to serve."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bundler.competition.gateway.driver import Event
from inference.boot.fields import load_json, parse_as


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call of the notebook's server; times are seconds since 1970."""

    number: int
    endpoint: str
    began: float
    ended: float
    deadline: float | None  # seconds; the first call has none
    error: str = ""  # the exception's name; "" where an answer came
    answer: str = ""  # the answer's type
    shape: tuple[int, ...] = ()
    columns: tuple[str, ...] = ()
    rounded: bool = False  # a number so large that float32 has lost its last digits
    ids: tuple[str, ...] = ()  # rows that it is about, where the gateway yields batches

    @property
    def seconds(self) -> float:
        """Return how long it took."""
        return self.ended - self.began


@dataclass(frozen=True, kw_only=True)
class Events:
    """All that was noted of one run of the gateway."""

    calls: tuple[Call, ...] = ()
    serving: Mapping[str, float]  # host → when it began to serve
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
        """Return the first call, which has no deadline and waits for the server."""
        return self.calls[0] if self.calls else None

    @property
    def later(self) -> tuple[Call, ...]:
        """Return the calls that a deadline is set for."""
        return self.calls[1:]

    @property
    def order(self) -> tuple[str, ...]:
        """Return the row ids in the order of the calls."""
        return tuple(name for call in self.calls for name in call.ids)


def read(path: Path) -> Events:
    """Read the driver's log; a line that was cut off when the gateway was ended is left out."""
    calls: list[Call] = []
    serving: dict[str, float] = {}
    shared: dict[str, float] = {}
    times: dict[str, float] = {}
    ids: tuple[str, ...] = ()
    for event in _lines(path):
        if event.kind == "batch":
            ids = event.ids
        elif event.kind == "call":
            calls.append(_call(event, len(calls) + 1, ids))
            ids = ()  # of several calls for one batch, the first one has the ids
        elif event.kind == "serving":
            serving.setdefault(event.host, event.time)
        elif event.kind == "share":
            shared |= {name: event.time for name in event.paths if name not in shared}
        else:
            times[event.kind] = event.time
    return Events(
        calls=tuple(calls),
        serving=serving,
        shared=shared,
        started=times.get("start"),
        ended=times.get("end"),
    )


def _call(event: Event, number: int, ids: tuple[str, ...]) -> Call:
    return Call(
        number=number,
        endpoint=event.endpoint,
        began=event.began,
        ended=event.time,
        deadline=event.deadline if number > 1 else None,
        error=event.error,
        answer=event.answer,
        shape=event.shape,
        columns=event.columns,
        rounded=event.rounded,
        ids=ids,
    )


def _lines(path: Path) -> Iterator[Event]:
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    for line in text.splitlines():
        with contextlib.suppress(ValueError):
            yield parse_as(Event, load_json(line))
