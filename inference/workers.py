"""Decoding in processes: a decoder that crashes, hangs or eats memory costs one image.

Each worker is a process that loads one image after another. Its images wait in its pipe, so it
is never idle for want of one; the prepared inputs come back through the same pipe. A worker that
ends, or that takes too long over one image, is replaced, and what waited behind that image goes
to another. Nothing that happens in a worker is an error of the run.
"""

import contextlib
import itertools
import multiprocessing
import os
import resource
import signal
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import TracebackType

from inference.interrupts import Interrupts
from inference.pixels import proven
from inference.pixels.errors import ImageError, Kind
from inference.pixels.loading import Loaded, load
from inference.pixels.preprocess import PreprocessConfig

WAITING = 2  # images given to a worker at a time: the one it loads, and the next
SECONDS_PER_IMAGE = 60.0  # beyond it, an image is given up
POLL = 1.0  # seconds between two looks at the clock
PATIENCE = 5.0  # seconds that a killed process has to go; one that a dead mount holds never does
# Where memory runs out the kernel takes a worker, which can be replaced, and not the parent.
OOM_SCORE, OOM_SCORE_FILE = "1000", Path("/proc/self/oom_score_adj")
# An image with such a failure may be sound: another process, or more memory, may read it.
WORTH_A_SECOND_TRY: frozenset[Kind] = frozenset({"crashed", "timeout", "no-memory", "unexpected"})
FileState = tuple[int, int]  # bytes, and when it was modified, in ns


@dataclass(frozen=True, kw_only=True)
class Task:
    """One file to load, for these configurations; `key` comes back with the result.

    `at_once`: decoders that wait for a long run begin with this very file.
    """

    key: int
    path: Path
    configs: tuple[PreprocessConfig, ...]
    at_once: bool = False


@dataclass(frozen=True, kw_only=True)
class Result:
    """What became of a task, and the worker's peak memory so far, in bytes."""

    key: int
    loaded: Loaded | ImageError
    peak_rss: int = 0
    file: FileState | None = None


@dataclass(kw_only=True)
class Worker:
    """A process, the pipe to it, and what it was given."""

    process: multiprocessing.process.BaseProcess
    connection: Connection
    tasks: deque[Task] = field(default_factory=deque)
    since: float = 0.0  # when it began the first of its tasks


class Workers:
    """A number of worker processes; a context manager that ends them."""

    def __init__(self, count: int, seconds_per_image: float = SECONDS_PER_IMAGE) -> None:
        self.count = count
        self.seconds_per_image = seconds_per_image
        self.peak_rss = 0
        # A fork would copy locks that ONNX Runtime's threads may hold.
        self._context = multiprocessing.get_context("spawn")
        self._workers: list[Worker] = []
        try:
            while len(self._workers) < count:
                self._workers.append(self._start())
        except BaseException:
            self.__exit__(None, None, None)
            raise

    def __enter__(self) -> "Workers":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for worker in self._workers:
            _end(worker)

    @property
    def pids(self) -> list[int]:
        """Return the workers' process ids."""
        return [worker.process.pid or 0 for worker in self._workers]

    @property
    def free_slots(self) -> int:
        """Return how many tasks can be given at once."""
        return sum(WAITING - len(worker.tasks) for worker in self._workers)

    @property
    def busy(self) -> bool:
        """Say whether a result is still to come."""
        return any(worker.tasks for worker in self._workers)

    def give(self, task: Task) -> None:
        """Give a task to the worker with the fewest; one must have a free slot."""
        self._send(min(self._workers, key=lambda worker: len(worker.tasks)), task)

    def collect(self, timeout: float = POLL) -> list[Result]:
        """Return the results that have come, waiting for the first up to `timeout` seconds."""
        results: list[Result] = []
        at_work = [worker for worker in self._workers if worker.tasks]
        ready = set(wait([worker.connection for worker in at_work], timeout))
        for worker in at_work:
            if worker.connection in ready:
                results += self._receive(worker)
            elif time.monotonic() - worker.since > self.seconds_per_image:
                results += self._replace(worker, "timeout")
        return results

    def load_alone(self, task: Task) -> Result:
        """Load one file in a new process while all the others rest; none may have a task left.

        It has the memory to itself, and no decoder that has to prove itself first is in use before
        the process has decoded others (`inference.pixels.proven`): those left are the safest.
        """
        old = self._workers[0]
        self._workers[0] = self._start()
        _end(old)
        self._send(self._workers[0], task)
        while True:
            for result in self.collect():
                return result

    def _start(self) -> Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_work, args=(theirs,), daemon=True)
        resource_tracker.ensure_running()  # which would unblock the signal
        # Ctrl-C reaches workers, too: until they say that it is none of theirs, it waits.
        with Interrupts.deferred():
            before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                process.start()
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        return Worker(process=process, connection=ours)

    def _send(self, worker: Worker, task: Task) -> None:
        if not worker.tasks:
            worker.since = time.monotonic()
        worker.tasks.append(task)
        # One that has ended is found and replaced by `collect`, which reads its pipe's end.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            worker.connection.send(task)

    def _receive(self, worker: Worker) -> list[Result]:
        try:
            result: Result = worker.connection.recv()
        except (EOFError, OSError):  # OSError: it was killed in the middle of a result
            return self._replace(worker, "crashed")
        worker.tasks.popleft()
        worker.since = time.monotonic()
        self.peak_rss = max(self.peak_rss, result.peak_rss)
        return [result]

    def _replace(self, worker: Worker, kind: str) -> list[Result]:
        """Start another process in a worker's place; its first task is the one that failed."""
        if kind == "crashed":
            worker.process.join(POLL)  # its own end says why; a kill would hide that
        _end(worker)
        code = worker.process.exitcode
        failed, *others = worker.tasks
        fresh = self._start()
        self._workers[self._workers.index(worker)] = fresh
        for task in others:
            self._send(fresh, task)
        if kind == "timeout":
            error = ImageError(
                "timeout", f"{failed.path}: not decoded within {self.seconds_per_image:.0f} s."
            )
        else:
            reason = f"signal {signal.Signals(-code).name}" if code and code < 0 else f"exit {code}"
            error = ImageError("crashed", f"{failed.path}: the decoder crashed ({reason}).")
        return [Result(key=failed.key, loaded=error)]


def load_all(workers: Workers, tasks: Iterable[Task]) -> Iterator[Result]:
    """Yield the results of all tasks as they come; a task is drawn when a worker is free for it."""
    source = iter(tasks)
    while True:
        for task in itertools.islice(source, workers.free_slots):
            workers.give(task)
        if not workers.busy:
            return
        yield from workers.collect()


def _end(worker: Worker) -> None:
    worker.process.kill()
    worker.process.join(PATIENCE)
    worker.connection.close()


def _work(connection: Connection) -> None:
    """Load one task after another until the pipe closes: the life of a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides about an interrupt
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    with contextlib.suppress(OSError):  # only Linux has it
        OOM_SCORE_FILE.write_text(OOM_SCORE)
    while True:
        try:
            task: Task = connection.recv()
        except (EOFError, OSError):
            return
        result = _load(task)
        try:
            connection.send(result)
        except OSError:  # the parent is gone
            return


def _load(task: Task) -> Result:
    """Return what became of a task, whatever a decoder raises: SystemExit, too, is no way out."""
    file = state_of(task.path)
    loaded: Loaded | ImageError
    try:
        with proven.at_once() if task.at_once else contextlib.nullcontext():
            loaded = load(task.path, task.configs)
    except ImageError as error:
        loaded = ImageError(error.kind, str(error))  # a subclass might not cross the pipe
    except MemoryError:
        loaded = ImageError("no-memory", f"{task.path}: not enough memory to decode it.")
    except BaseException as error:  # noqa: BLE001 - an image's failure is never the run's
        loaded = ImageError("unexpected", f"{task.path}: {_describe(error)}")
    return Result(key=task.key, loaded=loaded, peak_rss=peak_rss(), file=file)


def _describe(error: BaseException) -> str:
    """Return an exception's type and text; its text may be an exception itself."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 - whatever its __str__ raises
        return type(error).__name__


def state_of(path: Path) -> FileState | None:
    """Return what changes where a file does; None where there is none."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_size, status.st_mtime_ns


def peak_rss() -> int:
    """Return the most memory that this process has held, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would count the parent's memory at the time of the fork
        lines = status.read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS


def default_count() -> int:
    """Return how many workers to start where nobody says: one for each CPU that we may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
