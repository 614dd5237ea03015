"""What the driver noted of a gateway: its calls, what it shared, when a server began to serve."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


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
        kind, time = _text(event, "kind"), _number(event, "time") or 0.0
        if kind == "batch":
            ids = _texts(event, "ids")
        elif kind == "call":
            calls.append(_call(event, len(calls) + 1, time, ids))
            ids = ()  # of several calls for one batch, the first one is told the ids
        elif kind == "serving":
            serving.setdefault(_text(event, "host"), time)
        elif kind == "share":
            shared |= {name: time for name in _texts(event, "paths") if name not in shared}
        else:
            times[kind] = time
    return Events(
        calls=tuple(calls),
        serving=serving,
        shared=shared,
        started=times.get("start"),
        ended=times.get("end"),
    )


def _call(event: Mapping[str, object], number: int, time: float, ids: Sequence[str]) -> Call:
    shape = event.get("shape")
    return Call(
        number=number,
        endpoint=_text(event, "endpoint"),
        began=_number(event, "began") or time,
        ended=time,
        deadline=_number(event, "deadline") if number > 1 else None,
        error=_text(event, "error"),
        answer=_text(event, "answer"),
        shape=tuple(int(size) for size in shape) if isinstance(shape, list) else (),
        columns=_texts(event, "columns"),
        rounded=event.get("rounded") is True,
        ids=tuple(ids),
    )


def _lines(path: Path) -> Iterator[Mapping[str, object]]:
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    for line in text.splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            yield event


def _text(event: Mapping[str, object], key: str) -> str:
    value = event.get(key)
    return value if isinstance(value, str) else ""


def _texts(event: Mapping[str, object], key: str) -> tuple[str, ...]:
    value = event.get(key)
    return tuple(str(item) for item in value) if isinstance(value, list) else ()


def _number(event: Mapping[str, object], key: str) -> float | None:
    value = event.get(key)
    return float(value) if isinstance(value, int | float) else None
