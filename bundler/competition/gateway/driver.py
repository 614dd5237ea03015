"""Run a competition's own gateway, and note each call.

`python driver.py SPEC.json`, in the gateway's sandbox, where this file is alone beside the
competition's files: it imports the standard library, and what the gateway itself does. What the
package does is not changed, with one exception: `shuffled` puts the batches into another order, for
a second pass.
"""

import importlib
import json
import math
import random
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

EXACT = 2**24  # below it, float32 holds every whole number
MOST_IDS = 10_000  # of a batch that are noted
LOOK = 0.1  # seconds between two tries to reach the server


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What to run, and where to note it; paths are the sandbox's."""

    competition: str  # the folder that holds the package
    module: str
    name: str  # of the gateway's class
    log: str  # each event becomes a line of JSON
    hosts: list[str]  # names of the servers
    ports: list[int]
    shuffled: bool


@dataclass(frozen=True, kw_only=True)
class Event:
    """A line of the log; what its kind does not have is left as it is here."""

    kind: Literal["start", "end", "serving", "share", "batch", "call"]
    time: float = field(default_factory=time.time)  # seconds since 1970; of a call, its end
    host: str = ""
    port: int = 0  # on which a server serves
    paths: tuple[str, ...] = ()  # shared
    ids: tuple[str, ...] = ()  # of a batch
    endpoint: str = ""
    began: float = 0.0
    deadline: float | None = None  # seconds
    error: str = ""  # the exception's name; "" where an answer came
    answer: str = ""  # the answer's type
    shape: tuple[int, ...] = ()
    columns: tuple[str, ...] = ()
    rounded: bool = False  # a number so large that float32 has lost its last digits


def main(arguments: list[str]) -> int:
    """Run the gateway as Kaggle does: its class, without arguments."""
    spec = Spec(**json.loads(Path(arguments[0]).read_text(encoding="utf-8")))
    sys.path.insert(0, spec.competition)
    sys.dont_write_bytecode = True
    note = _writer(spec.log)
    _watch_calls(note)
    _watch_shares(note)
    gateway = getattr(importlib.import_module(spec.module), spec.name)
    _watch_batches(gateway, note, spec.shuffled)
    threading.Thread(target=_wait_for, args=(spec, note), daemon=True).start()
    note(Event(kind="start"))
    gateway().run()
    note(Event(kind="end"))
    return 0


Note = Callable[[Event], None]


def _writer(path: str) -> Note:
    """Return what appends an event, at once, so that none is lost however this ends."""
    stream, lock = open(path, "a", encoding="utf-8"), threading.Lock()  # noqa: SIM115

    def note(event: Event) -> None:
        with lock:
            stream.write(json.dumps(asdict(event)) + "\n")
            stream.flush()

    return note


def _wait_for(spec: Spec, note: Note) -> None:
    """Note when each server begins to serve: the first call alone does not tell it apart."""
    waiting = list(spec.hosts)
    while waiting:
        for host in list(waiting):
            if port := next((port for port in spec.ports if _serves(host, port)), 0):
                note(Event(kind="serving", host=host, port=port))
                waiting.remove(host)
        time.sleep(LOOK)


def _serves(host: str, port: int) -> bool:
    """Say whether a server answers: a port is open as soon as a server is made, not started."""
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    grpc = importlib.import_module("grpc")
    with grpc.insecure_channel(f"{host}:{port}") as channel:
        try:
            # A method that nobody has: the library answers it, not the user's functions.
            channel.unary_unary("/rsna_bundle.Rehearsal/Ping")(b"", timeout=1)
        except grpc.RpcError as error:
            silent = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
            return error.code() not in silent
    return True


def _watch_calls(note: Note) -> None:
    relay = importlib.import_module("kaggle_evaluation.core.relay")
    send = relay.Client.send

    def noted(self: Any, name: str, *args: Any, **kwargs: Any) -> Any:
        began = time.time()

        def ended(error: str = "") -> Event:
            return Event(
                kind="call",
                host=str(self.channel_address),
                endpoint=str(name),
                began=began,
                deadline=_seconds(getattr(self, "endpoint_deadline_seconds", None)),
                error=error,
            )

        try:
            answer = send(self, name, *args, **kwargs)
        except BaseException as error:
            note(ended(type(error).__name__))
            raise
        note(_described(ended(), answer))
        return answer

    relay.Client.send = noted


def _seconds(deadline: Any) -> float | None:
    """Return a deadline that is a number; other versions may have another kind, or none."""
    is_number = isinstance(deadline, int | float) and math.isfinite(deadline)
    return float(deadline) if is_number else None


def _described(call: Event, answer: Any) -> Event:
    """Return a call with the answer's type, shape and columns, and whether float32 took digits."""
    shape, columns = getattr(answer, "shape", None), getattr(answer, "columns", None)
    rounded = False
    if type(answer) is float and abs(answer) >= EXACT:
        # A Python float travels in four bytes; a whole number of this size came out rounded.
        rounded = struct.unpack("<f", struct.pack("<f", answer))[0] == answer
    return replace(
        call,
        answer=f"{type(answer).__module__}.{type(answer).__name__}",
        shape=tuple(int(size) for size in shape) if isinstance(shape, tuple) else (),
        columns=() if columns is None else tuple(str(column) for column in columns),
        rounded=rounded,
    )


def _watch_shares(note: Note) -> None:
    base = importlib.import_module("kaggle_evaluation.core.base_gateway").BaseGateway
    share = base.share_files

    def noted(self: Any, *args: Any, **kwargs: Any) -> Any:
        paths = share(self, *args, **kwargs)
        note(Event(kind="share", paths=tuple(str(path) for path in paths)))
        return paths

    base.share_files = noted


def _watch_batches(gateway: Any, note: Note, shuffled: bool) -> None:
    """Note the row ids of each batch; gateways that do not yield batches are left as they are."""
    generate = getattr(gateway, "generate_data_batches", None)
    if generate is None:
        return

    def noted(self: Any) -> Iterator[Any]:
        batches = generate(self)
        if shuffled:
            # All are made first, so that what a gateway shares is shared before the first call.
            rest = list(batches)
            random.Random(0).shuffle(rest)
            batches = iter(rest)
        for batch in batches:
            if isinstance(batch, tuple) and len(batch) == 2:
                note(Event(kind="batch", ids=tuple(_ids(batch[1]))))
            yield batch

    gateway.generate_data_batches = noted


def _ids(row_ids: Any) -> list[str]:
    """Return the ids of a batch as text; of several columns, their values joined by commas."""
    if isinstance(row_ids, str | int):
        return [str(row_ids)]
    if hasattr(row_ids, "columns"):
        names = list(row_ids.columns)
        columns = [[str(value) for value in row_ids[name]] for name in names]
        return [",".join(row) for row in list(zip(*columns, strict=True))[:MOST_IDS]]
    return [str(value) for value in list(row_ids)[:MOST_IDS]]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
