"""Work divided among threads."""

import gc
import threading
import time
import weakref

import numpy as np
import pytest

from bayesgmm.sweep import threads
from bayesgmm.sweep.threads import one_thread, run_ranges


def finishes(work):
    """Do work in a thread, so that a test fails where the work waits for ever."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(60)
    return not thread.is_alive()


@pytest.mark.parametrize("count", [1, 2, 3, 8])
@pytest.mark.parametrize("size", [0, 1, 2, 7, 100])
def test_each_number_is_in_one_range(size, count):
    done = np.zeros(size, dtype=int)

    def add(start, stop):
        done[start:stop] += 1

    for _ in range(20):
        run_ranges(add, size, count)
    assert (done == 20).all()


def test_the_ranges_run_at_the_same_time():
    meeting, met = threading.Barrier(3, timeout=30), []
    run_ranges(lambda start, stop: met.append(meeting.wait()), 3, 3)
    assert sorted(met) == [0, 1, 2]


def test_one_thread_does_all_in_its_context():
    seen = []
    with one_thread():
        run_ranges(lambda start, stop: seen.append((start, stop, threading.current_thread())), 10, 4)
    assert seen == [(0, 10, threading.current_thread())]


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_an_error_of_any_thread_is_raised(failing):
    def fail(start, stop):
        if start == failing:
            raise ValueError(f"range {start}")

    with pytest.raises(ValueError, match=f"range {failing}"):
        run_ranges(fail, 3, 3)
    test_each_number_is_in_one_range(100, 3)


class Task:
    """Does nothing; what it refers to would be the arrays of a sweep."""

    def __call__(self, start, stop):
        pass


def test_threads_that_wait_do_not_keep_the_last_task():
    task = Task()
    kept = weakref.ref(task)
    run_ranges(task, 3, 3)
    del task
    for _ in range(500):  # a thread may not be back at its queue yet
        gc.collect()
        if kept() is None:
            break
        time.sleep(0.01)
    assert kept() is None


def test_parts_that_no_thread_begins_are_done_by_the_caller(monkeypatch):
    """As if the cores were busy: the threads that take parts from the queue never come."""
    monkeypatch.setattr(threads, "_waiting_threads", lambda count: threads.SimpleQueue())
    seen = []
    assert finishes(lambda: run_ranges(lambda start, stop: seen.append((start, stop)), 9, 3))
    assert sorted(seen) == [(0, 3), (3, 6), (6, 9)]


def test_ranges_may_be_divided_again():
    """More work at a time than threads: none waits for ever."""
    done = np.zeros((4, 50), dtype=int)

    def rows(start, stop):
        def cells(first, last):
            done[start:stop, first:last] += 1

        run_ranges(cells, 50, 4)

    assert finishes(lambda: run_ranges(rows, 4, 4))
    assert (done == 1).all()
