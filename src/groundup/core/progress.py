"""What a person sees while they wait. All of it goes to stderr; stdout belongs to results (Law 13)."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

_PLAIN_SECONDS = 10.0


def human_number(value: float, unit: str = "") -> str:
    """1234567 → '1.23M', '1.23 MB' or '1.23M steps'; bytes get decimal prefixes too, as disks are counted."""
    for prefix in ("", "k", "M", "G", "T"):
        if abs(value) < 999.5 or prefix == "T":
            digits = f"{value:.3g}" if prefix or value != int(value) else f"{int(value)}"
            return f"{digits} {prefix}B" if unit == "B" else f"{digits}{prefix} {unit}".rstrip()
        value /= 1000
    raise AssertionError("unreachable")


def human_time(seconds: float) -> str:
    """75 → '1m 15s'."""
    if seconds < 60:
        return f"{seconds:.1f}s" if seconds < 10 else f"{seconds:.0f}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes:02d}m" if hours else f"{minutes}m {rest:02d}s"


class ProgressTask:
    """One piece of long work: `advance` as it goes; speed and time left are worked out from that."""

    def __init__(self, name: str, total: float | None, unit: str) -> None:
        self.name, self.total, self.unit = name, total, unit
        self.done = self._skipped = 0.0
        self.note = ""
        self._start = time.perf_counter()

    def advance(self, amount: float, note: str = "") -> None:
        """`amount` more is done; `note` is shown behind the numbers."""
        self.done += amount
        self.note = note or self.note

    def skip(self, amount: float) -> None:
        """`amount` was done before, by an earlier attempt: it does not count as speed."""
        self.done += amount
        self._skipped += amount

    def line(self) -> str:
        """The state as one line of text."""
        elapsed = max(time.perf_counter() - self._start, 1e-9)
        speed = (self.done - self._skipped) / elapsed
        parts = [f"{human_number(self.done, self.unit)}", f"{human_number(speed, self.unit)}/s"]
        if self.total:
            left = (self.total - self.done) / speed if speed else float("inf")
            parts.insert(0, f"{min(1.0, self.done / self.total):4.0%}")
            parts.append(f"{human_time(left)} left" if left < 1e6 else "time left unknown")
        return f"{self.name}: " + ", ".join(parts) + (f", {self.note}" if self.note else "")


class _LiveTask(ProgressTask):
    def __init__(self, name: str, total: float | None, unit: str, bar: Progress) -> None:
        super().__init__(name, total, unit)
        self._bar = bar
        self._id = bar.add_task(name, total=total, line=self)

    def advance(self, amount: float, note: str = "") -> None:
        super().advance(amount, note)
        self._bar.update(self._id, completed=self.done)


class _PlainTask(ProgressTask):
    def __init__(self, name: str, total: float | None, unit: str, console: Console) -> None:
        super().__init__(name, total, unit)
        self._console = console
        self._last = time.perf_counter()

    def advance(self, amount: float, note: str = "") -> None:
        super().advance(amount, note)
        if time.perf_counter() - self._last >= _PLAIN_SECONDS:
            self._last = time.perf_counter()
            self._console.print(escape(self.line()), highlight=False, soft_wrap=True)


class _SpeedColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        """Amount, speed and note of the task."""
        line = task.fields["line"].line().split(": ", 1)[1]
        return Text(line, style="dim")


class Reporter:
    """Talks to the person: lines, warnings and progress of long work.

    Live bars on a terminal; elsewhere a plain line every ten seconds.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.console = Console(stderr=True, quiet=quiet)
        self._quiet = quiet

    def say(self, text: str) -> None:
        """One line; rich markup is understood."""
        self.console.print(text, highlight=False, soft_wrap=True)

    def warn(self, text: str) -> None:
        """One line that a person should see."""
        self.console.print(f"[yellow]warning:[/] {escape(text)}", highlight=False, soft_wrap=True)

    @contextmanager
    def task(self, name: str, total: float | None = None, unit: str = "") -> Iterator[ProgressTask]:
        """Progress of work of size `total` (None: unknown) in `unit`."""
        if self._quiet:
            yield ProgressTask(name, total, unit)
        elif sys.stderr.isatty():
            columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), _SpeedColumn())
            with Progress(*columns, console=self.console, transient=True) as bar:
                yield _LiveTask(name, total, unit, bar)
        else:
            yield _PlainTask(name, total, unit, self.console)
