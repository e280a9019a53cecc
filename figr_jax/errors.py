"""Errors that a user can cause, and lines that tell of progress and of trouble."""

import contextlib
import os
import sys


class BadInput(Exception):
    """Something the user gave is wrong; the message says what would be right."""

    exit_code = 2


class FailedWork(Exception):
    """Good input, but the work could not be done."""

    exit_code = 1


def say(text):
    """Prints a progress line at once; a broken pipe or a full disk is ignored."""
    try:
        print(text, flush=True)
    except BrokenPipeError:  # as when Ctrl-C also ends what the output is piped to
        sys.stdout = open(os.devnull, "w")
    except OSError:  # a full disk
        pass


def warn(message):
    """Prints one line on stderr about what went wrong and does not stop the work."""
    with contextlib.suppress(OSError):  # nor does a full disk or a closed pipe
        print(f"warning: {' '.join(str(message).split())}", file=sys.stderr, flush=True)


def is_out_of_memory(error):
    """Returns whether an exception means that memory ran out."""
    # What jax raises is a RuntimeError with this in its text.
    return isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error)


def name_some(names, most=3):
    """Lists the first few of some names, as text."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(str, names[:most])) + more
