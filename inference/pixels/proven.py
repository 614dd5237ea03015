"""A faster way that costs something to start, and has to prove itself before it is relied on."""

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Generic, ParamSpec

import numpy as np

from inference.pixels.errors import DeclinedError

P = ParamSpec("P")

# Images after which compiling has paid: it takes seconds, and saves tens of milliseconds of each.
WORTH_AFTER = 50

_at_once: ContextVar[bool] = ContextVar("at_once", default=False)


@contextlib.contextmanager
def at_once() -> Iterator[None]:
    """Use the faster ways from the first image on, and return what they make of it, unjudged.

    For golden cases alone: what they compare is to come from the very code that most images of a
    long run go through. A way that does not start on this machine is left out, as ever.
    """
    token = _at_once.set(True)
    try:
        yield
    finally:
        _at_once.reset(token)


class Proven(Generic[P]):
    """A function of pixels whose start costs something, and that has to prove itself first.

    `function` is used from the call on after which it has paid; the ones before, and those that it
    declines, are left to the caller's other way. What it makes of its first image is compared with
    `judge`: a compiler or a driver that gets it wrong on some machine costs speed, not pixels.
    """

    def __init__(
        self,
        function: Callable[P, np.ndarray],
        judge: Callable[P, np.ndarray],
        worth_after: int = WORTH_AFTER,
    ) -> None:
        self.function = function
        self.judge = judge
        self.worth_after = worth_after
        self.seen = 0
        self.works: bool | None = None

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> np.ndarray:
        """Return the function's pixels, or raise DeclinedError."""
        if _at_once.get():
            return self._try(*args, **kwargs)
        self.seen += 1
        if self.seen <= self.worth_after or self.works is False:
            raise DeclinedError("left to the slower way")
        return self.function(*args, **kwargs) if self.works else self._prove(*args, **kwargs)

    def _try(self, *args: P.args, **kwargs: P.kwargs) -> np.ndarray:
        try:
            return self.function(*args, **kwargs)
        except DeclinedError:
            raise
        except Exception as error:  # as in `_prove`: it costs speed, not the run
            raise DeclinedError(f"it does not work on this machine: {error!r}") from error

    def _prove(self, *args: P.args, **kwargs: P.kwargs) -> np.ndarray:
        pixels = None
        try:
            pixels = self.function(*args, **kwargs)
        except DeclinedError:
            raise  # it says something of this image, not of this machine
        except Exception:  # noqa: BLE001 - compilers and drivers have many ways to fail
            pass
        expected = self.judge(*args, **kwargs)
        self.works = pixels is not None and np.array_equal(pixels, expected)
        return expected
