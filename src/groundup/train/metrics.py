"""metrics.jsonl: one JSON object a line, the source of truth of every curve."""

import json
import math
from pathlib import Path
from typing import Any

from groundup.core.files import write_text


class MetricsLog:
    """Appends records to a JSON-lines file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, record: dict[str, Any]) -> None:
        """Write one record; numbers that are not finite become null, which JSON readers accept."""
        clean = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in record.items()}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(clean, ensure_ascii=False) + "\n")

    def rewind(self, step: int) -> None:
        """Forget what was written after `step`, when training goes on from a checkpoint of that step."""
        if self.path.exists():
            kept = [r for r in read_metrics(self.path) if r["step"] <= step]
            write_text(self.path, "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in kept))


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """All whole records; a last line that was cut off is left out."""
    records = []
    for line in path.read_text(encoding="utf-8").split("\n"):
        try:
            records.append(json.loads(line))
        except ValueError:
            break
    return records
