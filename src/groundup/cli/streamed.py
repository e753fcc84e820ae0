"""Text on stdout as it comes."""

import sys

# A byte-level model can write any character: control characters must not reach a terminal.
_CONTROL = {c: "\ufffd" for c in (*range(0x20), *range(0x7F, 0xA0)) if chr(c) not in "\n\t"}


class StreamedText:
    """Writes pieces of one text at once, and ends its last line."""

    def __init__(self) -> None:
        self._last = "\n"

    def write(self, piece: str) -> None:
        """Show `piece`; exactly as it is, unless on a terminal."""
        if not piece:
            return
        self._last = piece[-1]
        sys.stdout.write(piece.translate(_CONTROL) if sys.stdout.isatty() else piece)
        sys.stdout.flush()

    def end(self) -> None:
        """Begin a new line, unless the text did."""
        if self._last != "\n":
            self.write("\n")
