"""Errors that a user can cause, progress lines and warnings."""

import contextlib
import os
import sys


class BadInput(Exception):
    """Wrong input from the user; the message says what would be right."""

    exit_code = 2


class FailedWork(Exception):
    """A failure despite good input."""

    exit_code = 1


def say(text):
    """Prints and flushes a progress line; ignores a broken pipe or a full disk."""
    try:
        print(text, flush=True)
    except BrokenPipeError:  # Ctrl-C may also have ended the reader of the pipe
        sys.stdout = open(os.devnull, "w")
    except OSError:  # a full disk
        pass


def warn(message):
    """Prints a warning as one line on stderr."""
    with contextlib.suppress(OSError):  # a full disk or a closed pipe
        print(f"warning: {' '.join(str(message).split())}", file=sys.stderr, flush=True)


def is_out_of_memory(error):
    """Returns whether an exception means that memory ran out."""
    # jax raises a RuntimeError with this text.
    return isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error)


def name_some(names, most=3):
    """Lists the first few of some names, as text."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(str, names[:most])) + more
