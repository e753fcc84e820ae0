"""Keep freed memory for the next step instead of handing it back to the system."""

import ctypes
import sys

# Parameters of mallopt(3) in glibc.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
_NEVER = 2**31 - 1
_TOP_PAD_BYTES = 64 << 20


def keep_freed_memory() -> bool:
    """Tell the C library to serve large blocks from memory that it keeps; returns whether it could be told.

    A training step frees and takes the same large buffers again and again. By default each is mapped anew, and
    every page of it costs a fault: some 200,000 in a step of 8,192 tokens, a fifth of its time (bench/step.py).
    """
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # a C library other than glibc
        return False
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, _NEVER), (_M_TOP_PAD, _TOP_PAD_BYTES))
    return all(mallopt(parameter, value) == 1 for parameter, value in settings)
