"""User errors: one line on stderr and an exit code, never a traceback."""

import contextlib
import logging as standard_logging
import os
import signal
import sys
import threading

from absl import app, flags, logging

_SIGNALS = signal.SIGINT, signal.SIGTERM  # those that ask a process to end


class BadInput(Exception):
    """Something the user gave is wrong; the message says what would be right."""

    exit_code = 2


class FailedWork(Exception):
    """Good input, but the work could not be done."""

    exit_code = 1


def refuse(names, reason):
    """Rejects flags that would have no effect.

    Args:
      names: of the flags.
      reason: why, and what would be right.

    Raises:
      BadInput: if one of them was given.
    """
    for name in names:
        if flags.FLAGS[name].present:
            raise BadInput(f"--{name}: {reason}")


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
    """Whether an exception tells that there is too little memory."""
    # What jax raises is a RuntimeError with this in its text.
    return isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error)


@contextlib.contextmanager
def stoppable(promise):
    """Lets work that could lose something end in its own time.

    Args:
      promise: what to say at the first Ctrl-C or SIGTERM; a second one ends the
        process at once.

    Yields:
      A function that tells whether the first one has come.
    """
    asked = threading.Event()

    def handle(number, _):
        if asked.is_set():
            _stop("stopped at once", 128 + number)
        asked.set()
        with contextlib.suppress(OSError):
            os.write(1, f"{promise}\n".encode())  # print may be what was interrupted

    with _answer_signals(handle):
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
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread hears of signals
        return
    before = [signal.signal(number, handle) for number in _SIGNALS]
    try:
        yield
    finally:
        for number, handler in zip(_SIGNALS, before, strict=True):
            signal.signal(number, handler)


def _stop(message, exit_code):
    line = f"error: {' '.join(str(message).split())}\n"
    if os.isatty(2):
        line = f"\r\x1b[K{line}"  # in place of a progress bar, if there is one
    with contextlib.suppress(RuntimeError, ValueError, OSError):
        sys.stdout.flush()  # not while a signal interrupts a print
        os.write(2, line.encode(errors="backslashreplace"))
    # Not sys.exit: libraries with threads of their own would add tracebacks of theirs
    # while they are torn down. Files are renamed into place, so none is half-written.
    os._exit(exit_code)


def _parse(argv):
    """Parses the flags; what ml_collections raises for --config becomes one line."""
    try:
        rest = flags.FLAGS(argv)
        if "config" in flags.FLAGS and flags.FLAGS.config is not None:
            flags.FLAGS.config.to_dict()  # a missing file is told only on first use
        return rest
    except SystemExit:  # absl's 1, after the help that was asked for
        sys.exit(0)
    except flags.Error as error:
        message = error
    except (AttributeError, LookupError) as error:
        while isinstance(error, Exception):  # a KeyError inside an AttributeError
            error = error.args[0]
        message = f"--config has no field {error}"
    except OSError as error:  # a list of attempts: the last line tells the reason
        message = f"--config: {str(error).splitlines()[-1]}"
    except (ImportError, NameError, SyntaxError, TypeError, ValueError) as error:
        message = f"--config: {type(error).__name__}: {error}"
    _stop(message, BadInput.exit_code)


def _tell_unraisable(unraisable):
    # What orbax stops waiting for, once one read has failed, reports to a closed loop.
    if str(unraisable.exc_value) != "Event loop is closed":
        sys.__unraisablehook__(unraisable)


def run(verb, takes_arguments=False):
    """Runs a verb of the command line.

    Args:
      verb: function of nothing. `BadInput` and `FailedWork` that it raises end the
        process with one line and their exit code.
      takes_arguments: whether it is one of the positional arguments, a list of
        strings; else there must be none.
    """

    def main(argv):
        # TFDS and orbax tell every step, and add tracebacks to what they raise.
        logging.set_verbosity(logging.FATAL)
        standard_logging.getLogger("asyncio").setLevel(standard_logging.CRITICAL)
        try:
            if takes_arguments:
                verb(argv[1:])
            elif len(argv) > 1:
                raise BadInput(f"unexpected argument {argv[1]!r}")
            else:
                verb()
        except (BadInput, FailedWork) as error:
            _stop(error, error.exit_code)
        except OSError as error:  # a full disk, a folder that was removed
            _stop(error, FailedWork.exit_code)
        except (MemoryError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and "RESOURCE_EXHAUSTED" not in str(
                error
            ):
                raise
            _stop(f"out of memory: {error}", FailedWork.exit_code)

    sys.unraisablehook = _tell_unraisable
    # Not KeyboardInterrupt: raised inside a callback of jax it would be swallowed.
    for number in _SIGNALS:
        signal.signal(number, lambda number, _: _stop("stopped", 128 + number))
    app.run(main, flags_parser=_parse)
