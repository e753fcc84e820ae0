"""Ctrl-C and SIGTERM: at once where nothing can be lost, at the next safe point where a step is under way."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stopped(BaseException):
    """The user or the system asked this process to stop. Not an Exception: nothing may swallow it."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal.Signals(signal_number).name)
        self.signal_number = signal_number

    @property
    def exit_code(self) -> int:
        """130 for Ctrl-C, as shells expect; 0 for SIGTERM: a cluster asked, and the work is safe."""
        return 130 if self.signal_number == signal.SIGINT else 0


class Interrupts:
    """Turns SIGINT and SIGTERM into `Stopped`, at once or, inside `deferred()`, when `check()` is called.

    A second signal always stops at once.
    """

    def __init__(self) -> None:
        self._pending: int | None = None
        self._deferred = False

    @contextmanager
    def installed(self) -> Iterator["Interrupts"]:
        """Handle the signals for the length of the block (main thread only)."""
        previous = {s: signal.signal(s, self._handle) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield self
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Signals wait for `check()` in the block."""
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False
        self.check()

    def check(self) -> None:
        """Raise `Stopped` if a signal waits."""
        if self._pending is not None:
            raise Stopped(self._pending)

    @property
    def requested(self) -> bool:
        """Whether a signal waits."""
        return self._pending is not None

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        again = self._pending is not None
        self._pending = number
        if again or not self._deferred:
            raise Stopped(number)
