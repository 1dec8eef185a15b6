"""A call that lasts, in a thread of its own: this one hears signals at once, and Ray leaves its handlers alone."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

POLL_S = 0.5  # between two looks at what goes on elsewhere, such as at a stop file


def beside(call: Callable[[], Any], name: str, look: Callable[[], None] = lambda: None) -> Any:
    """What `call` returns or raises. look: called now and then while it runs; name: the thread's."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append(call())
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(POLL_S)
        look()
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    return outcome[0]
