"""User errors: one line on stderr and an exit code, never a traceback."""

import os
import signal
import sys

from absl import app, flags, logging


class BadInput(Exception):
    """Something the user gave is wrong; the message says what would be right."""

    exit_code = 2


class FailedWork(Exception):
    """Good input, but the work could not be done."""

    exit_code = 1


def _stop(message, exit_code):
    line = " ".join(str(message).split())
    print(f"error: {line}", file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
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


def run(verb):
    """Runs a verb of the command line.

    Args:
      verb: function of the positional arguments, a list of strings. `BadInput` and
        `FailedWork` that it raises end the process with one line and their exit code.
    """

    def main(argv):
        logging.set_verbosity(logging.ERROR)  # TFDS and orbax tell every step
        try:
            verb(argv[1:])
        except (BadInput, FailedWork) as error:
            _stop(error, error.exit_code)
        except OSError as error:  # a full disk, a folder that was removed
            _stop(error, FailedWork.exit_code)

    # Not KeyboardInterrupt: raised inside a callback of jax it would be swallowed.
    signal.signal(signal.SIGINT, lambda *_: _stop("stopped", 130))
    app.run(main, flags_parser=_parse)
