"""Where and in which precision to compute, and how fast this machine multiplies matrices."""

import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal

import torch

from groundup.core.errors import UserError
from groundup.core.names import DeviceName, PrecisionName


@dataclass(frozen=True)
class Compute:
    """A device and the type in which matrix products run there. Weights are always kept in fp32."""

    device: torch.device
    precision: Literal["fp32", "bf16"]

    def autocast(self) -> AbstractContextManager:
        """The context to run a model in."""
        if self.precision == "fp32":
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)

    @property
    def dtype(self) -> torch.dtype:
        """Type of matrix products."""
        return torch.bfloat16 if self.precision == "bf16" else torch.float32


def choose_compute(device: DeviceName, precision: PrecisionName) -> Compute:
    """Resolve `auto`: CUDA, else MPS, else CPU; bf16 where the hardware multiplies it natively, else fp32."""
    chosen = _choose_device(device)
    if precision == "auto":
        precision = "bf16" if has_fast_bf16(chosen) else "fp32"
    return Compute(chosen, precision)


def _choose_device(name: DeviceName) -> torch.device:
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(kind for kind in ("cuda", "mps", "cpu") if available[kind])
    if not available[name]:
        raise UserError(f"device {name!r} is not available on this machine", 'set device = "auto" or "cpu"')
    return torch.device(name)


def has_fast_bf16(device: torch.device) -> bool:
    """Whether matrix products in bf16 run on hardware made for them."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return False


def measure_matmul_peak(compute: Compute, size: int = 2048, seconds: float = 0.6) -> float:
    """FLOP/s of a square matrix product: the best of the repeats that fit in `seconds`."""
    a = torch.randn(size, size, device=compute.device, dtype=compute.dtype)
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        product = a @ a
        product[0, 0].item()  # waits for an asynchronous device
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


def product_dtype(x: torch.Tensor) -> torch.dtype:
    """The type in which matrix products of `x` run: that of autocast where it is on, else its own."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if _has_autocast(kind) else x.dtype


def without_autocast(x: torch.Tensor) -> AbstractContextManager:
    """The context in which products of tensors beside `x` run in their own type."""
    kind = x.device.type
    return torch.autocast(kind, enabled=False) if _has_autocast(kind) else nullcontext()


def _has_autocast(kind: str) -> bool:
    # Some kinds of devices, meta one of them, know no autocast and may not even be asked.
    return torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
