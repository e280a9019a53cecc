"""Handling of Ctrl-C and SIGTERM for work that must end cleanly."""

import contextlib
import os
import signal
import threading

ENDING = signal.SIGINT, signal.SIGTERM  # signals that ask a process to end


@contextlib.contextmanager
def stoppable(message):
    """Lets work end cleanly at the first Ctrl-C or SIGTERM.

    Args:
      message: text to print at the first signal; a second one has its usual effect.

    Yields:
      A function that returns whether the first signal was received.
    """
    asked = threading.Event()

    def handle(number, frame):
        if asked.is_set():  # a command ends, a notebook's cell is interrupted
            return _pass_on(before[number], number, frame)
        asked.set()
        with contextlib.suppress(OSError):
            os.write(1, f"{message}\n".encode())  # print may have been interrupted

    with _answer_signals(handle) as before:
        yield asked.is_set


@contextlib.contextmanager
def delayed_signals():
    """Delays Ctrl-C and SIGTERM to the end of its block. A context manager."""
    came = []
    try:
        with _answer_signals(lambda number, _: came.append(number)):
            yield
    finally:
        for number in came:
            signal.raise_signal(number)


@contextlib.contextmanager
def _answer_signals(handle):
    """Sets a handler; yields the previous handlers by signal."""
    if threading.current_thread() is not threading.main_thread():
        yield {}  # only the main thread receives signals
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
    else:  # the system's handler
        signal.signal(number, handler)
        signal.raise_signal(number)
