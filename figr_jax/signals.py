"""Ctrl-C and SIGTERM: work that must not lose anything ends in its own time."""

import contextlib
import os
import signal
import threading

ENDING = signal.SIGINT, signal.SIGTERM  # signals that ask a process to end


@contextlib.contextmanager
def stoppable(promise):
    """Lets work that could lose something end in its own time.

    Args:
      promise: what to say at the first Ctrl-C or SIGTERM; a second one does what it
        would have done without this.

    Yields:
      A function that returns whether the first one has come.
    """
    asked = threading.Event()

    def handle(number, frame):
        if asked.is_set():  # a command ends, a notebook's cell is interrupted
            return _pass_on(before[number], number, frame)
        asked.set()
        with contextlib.suppress(OSError):
            os.write(1, f"{promise}\n".encode())  # print may be what was interrupted

    with _answer_signals(handle) as before:
        yield asked.is_set


@contextlib.contextmanager
def delayed_signals():
    """Lets Ctrl-C and SIGTERM wait until its block has ended. A context manager."""
    came = []
    try:
        with _answer_signals(lambda number, _: came.append(number)):
            yield
    finally:
        for number in came:
            signal.raise_signal(number)


@contextlib.contextmanager
def _answer_signals(handle):
    """Sets a handler; yields those before, by signal."""
    if threading.current_thread() is not threading.main_thread():
        yield {}  # only the main thread hears of signals
        return
    before = {number: signal.signal(number, handle) for number in ENDING}
    try:
        yield before
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _pass_on(handler, number, frame):
    if callable(handler):
        handler(number, frame)
    else:  # the system's own
        signal.signal(number, handler)
        signal.raise_signal(number)
