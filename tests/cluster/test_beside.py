"""A call beside this thread: its result or its error comes back, and meanwhile this thread looks."""

import threading

import pytest

from cluster.beside import beside


def test_the_result_comes_back_and_this_thread_looked_meanwhile() -> None:
    looked = threading.Event()

    def call() -> tuple[bool, str]:
        return looked.wait(60), threading.current_thread().name

    assert beside(call, "far", looked.set) == (True, "far")


def test_an_error_comes_back() -> None:
    with pytest.raises(ZeroDivisionError):
        beside(lambda: 1 // 0, "far")
