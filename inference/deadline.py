"""The time limit: a running projection, and what is left out so as to keep it."""

import time
from dataclasses import dataclass, field
from typing import Literal

Pace = Literal["full", "coarse", "over"]
RESERVE = 0.02  # of the limit, kept for what follows the last image
SEEN = 32  # images before a projection means anything
SOONEST = 1.0  # second of reading before it does


@dataclass(kw_only=True)
class Deadline:
    """Seconds from `start` (monotonic) within which the run ends; None is no limit.

    `at` says what to do where the projected end lies beyond it: `stop` goes on at full quality
    and stops when time is over; `coarse` takes images at the fastest settings for as long as
    the projection needs it, and finishes with what there is when time is over.
    """

    limit: float | None = None
    at: Literal["stop", "coarse"] = "stop"
    start: float = field(default_factory=time.monotonic)
    begun: float | None = None
    resumed: int = 0  # images that were settled before the first one was read
    _full_rate: float | None = None
    _hurried: bool = False  # a coarse image was asked for: rates are a mixture's from then on

    def elapsed(self) -> float:
        """Return the seconds since the start."""
        return time.monotonic() - self.start

    def begin(self, resumed: int = 0) -> None:
        """Note that the first image is about to be read; what came before is no image's cost."""
        self.begun, self.resumed = self.elapsed(), resumed

    def rate(self, done: int) -> float | None:
        """Return images per second since the first image, once enough were seen."""
        if self.begun is None or done - self.resumed < SEEN:
            return None
        reading = self.elapsed() - self.begun
        return (done - self.resumed) / reading if reading >= SOONEST else None

    def projected(self, done: int, total: int) -> float | None:
        """Return the seconds after the start at which the run will end at its rate so far."""
        rate = self.rate(done)
        return None if rate is None else self.elapsed() + (total - done) / rate

    def pace(self, done: int, total: int) -> Pace:
        """Return how the next image is to be taken, `done` of `total` being settled."""
        if self.limit is None:
            return "full"
        usable = self.limit * (1 - RESERVE)
        if self.elapsed() >= usable:
            return "over"
        if self.at == "stop":
            return "full"
        if not self._hurried:  # the last rate of full images alone says what these cost
            self._full_rate = self.rate(done) or self._full_rate
        if self._full_rate and self.elapsed() + (total - done) / self._full_rate > usable:
            self._hurried = True
            return "coarse"
        return "full"
