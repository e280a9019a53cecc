"""User errors: one line on stderr and an exit code, never a traceback."""

import sys

from absl import app, flags, logging


class BadInput(Exception):
    """Something the user gave is wrong; the message says what would be right."""

    exit_code = 2


class FailedWork(Exception):
    """Good input, but the work could not be done."""

    exit_code = 1


def _stop(error, exit_code):
    line = " ".join(str(error).split())
    print(f"error: {line}", file=sys.stderr)
    sys.exit(exit_code)


def _config_error(error):
    """The useful part of what ml_collections raises while flags are parsed."""
    lines = [line.strip() for line in str(error).splitlines()]
    if isinstance(error, OSError):  # a list of attempts; each ends with its reason
        return f"--config: {lines[-1]}"
    text = " ".join(lines).strip("\"'")
    return f"--config has no field {text}" if isinstance(error, LookupError) else text


def _parse(argv):
    try:
        rest = flags.FLAGS(argv)
        if "config" in flags.FLAGS and flags.FLAGS.config is not None:
            flags.FLAGS.config.to_dict()  # a missing file is told only on first use
        return rest
    except flags.Error as error:
        _stop(error, BadInput.exit_code)
    except (AttributeError, LookupError) as error:
        _stop(_config_error(LookupError(error)), BadInput.exit_code)
    except (OSError, TypeError, ValueError, SyntaxError) as error:
        _stop(_config_error(error), BadInput.exit_code)


def run(verb):
    """Runs a verb of the command line.

    Args:
      verb: function of the positional arguments, a list of strings. `BadInput` and
        `FailedWork` that it raises end the process with one line and their exit code.
    """

    def main(argv):
        logging.set_verbosity(logging.WARNING)  # orbax tells every step of a save
        try:
            verb(argv[1:])
        except (BadInput, FailedWork) as error:
            _stop(error, error.exit_code)

    app.run(main, flags_parser=_parse)
