"""Names that a config chooses a machine's means by. Kept apart from what they name, which needs torch."""

from typing import Literal

DeviceName = Literal["auto", "cpu", "cuda", "mps"]
PrecisionName = Literal["auto", "fp32", "bf16"]
