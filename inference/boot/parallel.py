"""Reading in threads: hashing and copying let go of the interpreter, so the cores share them."""

import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TypeVar

Result = TypeVar("Result")
MOST_THREADS = 16
EVERY = 10.0  # seconds between two lines that say how far it is


class Stopped(Exception):
    """Another thread has failed: this one need not go on."""


class Meter:
    """Counts the bytes that threads have read, and ends them all once one has failed."""

    def __init__(self, forward: Callable[[int], None] = lambda count: None) -> None:
        self.bytes = 0
        self._forward = forward
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._began = time.monotonic()

    def advance(self, count: int) -> None:
        """Count bytes that were read. Raises Stopped."""
        if self._stopped.is_set():
            raise Stopped
        with self._lock:
            self.bytes += count
            self._forward(count)

    def stop(self) -> None:
        """Let each thread end at the next bytes that it reads."""
        self._stopped.set()

    def throughput(self) -> str:
        """Return what was read, in which time and how fast, as text."""
        seconds = max(time.monotonic() - self._began, 1e-9)
        amount = f"{self.bytes / 1e9:.1f} GB" if self.bytes >= 1e9 else f"{self.bytes / 1e6:.1f} MB"
        return f"{amount} in {seconds:.1f} s ({self.bytes / 1e6 / seconds:.0f} MB/s)"


def lines(total: int, text: str) -> Callable[[int], None]:
    """Return what a Meter may forward to: it prints a line now and then, with the throughput."""
    done, began = 0, time.monotonic()
    last = began

    def forward(count: int) -> None:
        nonlocal done, last
        done += count
        now = time.monotonic()
        if now - last >= EVERY:
            last = now
            speed = done / 1e6 / (now - began)
            print(f"{text}: {done / 1e9:.1f} of {total / 1e9:.1f} GB, {speed:.0f} MB/s", flush=True)

    return forward


def default_threads() -> int:
    """Return twice the cores that this process has: mounted storage answers late, not slowly."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(MOST_THREADS, 2 * (cores or 1))


def run(jobs: Sequence[Callable[[], Result]], meter: Meter) -> list[Result]:
    """Run jobs in threads and return their results in order; the first error ends all of them."""
    with ThreadPoolExecutor(default_threads()) as pool:
        futures = [pool.submit(job) for job in jobs]
        failed = True  # Ctrl-C, too: the threads must not go on for minutes
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            failed = any(future.exception() for future in done)
        finally:
            if failed:
                meter.stop()
                pool.shutdown(cancel_futures=True)
    errors = [one.exception() for one in futures if not one.cancelled()]
    # That a thread was stopped is no reason of its own: the reason is another thread's error.
    for error in sorted(filter(None, errors), key=lambda error: isinstance(error, Stopped)):
        raise error
    return [future.result() for future in futures]
