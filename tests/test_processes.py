"""Child processes end with their parent, even if it is killed."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from anl_seg.errors import CommandFailedError
from anl_seg.processes import map_in, process_pool, program_ends_with_parent

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

WITH_A_PROCESS = """
import multiprocessing, time
from anl_seg.processes import end_with_parent

def work(started):
    end_with_parent()
    started.set()
    time.sleep(300)

if __name__ == "__main__":
    context = multiprocessing.get_context({method!r})
    started = context.Event()
    process = context.Process(target=work, args=(started,))
    process.start()
    started.wait()
    print(process.pid, flush=True)
    time.sleep(300)
"""

WITH_A_PROGRAM = """
import subprocess, time
from anl_seg.processes import program_ends_with_parent

program = subprocess.Popen(["sleep", "300"], preexec_fn=program_ends_with_parent())
print(program.pid, flush=True)
time.sleep(300)
"""


def is_alive(process):
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@LINUX
@pytest.mark.parametrize(
    "source",
    [*(WITH_A_PROCESS.format(method=name) for name in ("spawn", "forkserver")), WITH_A_PROGRAM],
    ids=["spawn", "forkserver", "program"],
)
def test_no_child_outlives_a_killed_parent(tmp_path, source):
    script = tmp_path / "parent.py"
    script.write_text(source)
    with subprocess.Popen(
        [sys.executable, script], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as parent:
        child = int(parent.stdout.readline())
        assert is_alive(child)
        parent.kill()
    end = time.monotonic() + 30
    while is_alive(child):
        assert time.monotonic() < end, "it lives on"
        time.sleep(0.02)


def test_elsewhere_a_program_is_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert program_ends_with_parent() is None


def test_a_pool_works_in_order_and_one_process_needs_none():
    for processes in (1, 2):
        with process_pool(processes) as pool:
            assert (pool is None) == (processes == 1)
            assert list(map_in(pool, math.sqrt, range(9), chunk=2)) == [n**0.5 for n in range(9)]


def test_each_process_begins_with_what_was_asked(tmp_path):
    with process_pool(2, os.chdir, tmp_path) as pool:
        assert list(map_in(pool, os.path.abspath, ["a"] * 4)) == [str(tmp_path / "a")] * 4
    assert Path.cwd() != tmp_path


def test_a_killed_process_is_reported_with_a_remedy():
    with pytest.raises(CommandFailedError, match="use fewer processes"), process_pool(2) as pool:
        list(map_in(pool, os._exit, [1]))
