import subprocess
import sys

import pytest

SCRIPT = """
import resource, torch
from groundup.core.memory import keep_freed_memory
print(keep_freed_memory())
torch.set_num_threads(1)

def work():
    a = torch.randn(1000, 4000)
    b = (a * 2).exp()
    return (a @ b.T).softmax(-1).sum()

for _ in range(30):
    work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the C library of other systems has no mallopt")
def test_work_that_repeats_takes_the_same_memory_without_page_faults():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    told, faults = done.stdout.split()
    assert told == "True"
    assert int(faults) < 1000  # its buffers are 13,000 pages each time
