import os

import pytest

# One thread for each worker: two workers of two threads each on two cores wait for each other, up to 20× slower.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def engine():
    """An engine whose model knows one text and one conversation by heart (see taught_model.py)."""
    from taught_model import taught_engine

    return taught_engine()
