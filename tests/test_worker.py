"""What threads share."""

import ctypes
import subprocess
import sys

import pytest

HEAPS = """
import ctypes, sys, threading
from streamcolor.worker import share_heaps
if sys.argv[1] == "shared":
    share_heaps()
met = threading.Barrier(9)
def work():
    kept = bytearray(10_000)
    met.wait()
for _ in range(8):
    threading.Thread(target=work).start()
met.wait()
libc = ctypes.CDLL(None)
libc.malloc_info(0, ctypes.c_void_p.in_dll(libc, "stdout"))
libc.fflush(None)
"""


def heaps(how):
    done = subprocess.run([sys.executable, "-c", HEAPS, how], capture_output=True, text=True, check=True)
    return done.stdout.count("<heap nr=")


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_info"), reason="not glibc")
def test_eight_threads_share_two_heaps_where_they_had_one_each():
    assert heaps("apart") > 4
    assert heaps("shared") <= 2


PINNED = """
from pathlib import Path
from streamcolor.worker import give_memory_back
def pages():
    return int(Path("/proc/self/statm").read_text().split()[1])
before = pages()
blocks = [bytearray(8000) for _ in range(5000)]
full = pages()
blocks = blocks[::100]
pinned = pages()
give_memory_back()
print(full - before, pinned - before, pages() - before)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="not glibc")
def test_what_small_things_keep_apart_is_given_back():
    done = subprocess.run([sys.executable, "-c", PINNED], capture_output=True, text=True, check=True)
    full, pinned, given_back = map(int, done.stdout.split())
    assert pinned > full / 2, "freeing alone is not enough"
    assert given_back < full / 4


ELSEWHERE = """
import ctypes, os
def refuse(name, *more):
    raise TypeError("argument of type 'NoneType' is not iterable")  # what Windows says to CDLL(None)
ctypes.CDLL, os.name = refuse, "nt"
from streamcolor.worker import give_memory_back, share_heaps
share_heaps()
give_memory_back()
"""


def test_nothing_is_asked_of_a_system_without_such_heaps():
    subprocess.run([sys.executable, "-c", ELSEWHERE], check=True)
