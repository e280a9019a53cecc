"""The command line: flags, and errors as one line on stderr."""

import contextlib
import logging as standard_logging
import os
import pathlib
import signal
import sys

from absl import app, flags, logging

from figr_jax import config_files
from figr_jax.common import signals
from figr_jax.common.errors import BadInput, FailedWork, is_out_of_memory

flags.disclaim_key_flags()  # flags belong to the command that calls `define_*`


class _Path(flags.ArgumentParser):
    """Parser of a path, in which `~` is the user's home."""

    def parse(self, argument):
        return os.path.expanduser(argument)


def define_path(name, default, description):
    """Defines a flag that takes a path."""
    flags.DEFINE(_Path(), name, default, description)


def define_paths(name, description):
    """Defines a flag that takes a path and may be given several times."""
    flags.DEFINE_multi(_Path(), flags.ArgumentSerializer(), name, [], description)


def refuse(names, reason):
    """Rejects flags that would have no effect.

    Args:
      names: names of the flags.
      reason: why they are wrong, and what to do.

    Raises:
      BadInput: if one of them was given.
    """
    for name in names:
        if flags.FLAGS[name].present:
            raise BadInput(f"--{name}: {reason}")


def _stop(message, exit_code):
    line = f"error: {' '.join(str(message).split())}\n"
    if os.isatty(2):
        line = f"\r\x1b[K{line}"  # overwrites a progress bar, if there is one
    with contextlib.suppress(RuntimeError, ValueError, OSError):
        sys.stdout.flush()  # fails if a signal interrupted a print
        os.write(2, line.encode(errors="backslashreplace"))
    # Not sys.exit: threads of libraries would print tracebacks during shutdown. Files
    # are renamed into place, so none is half-written.
    os._exit(exit_code)


def _find_config(argv):
    """Replaces a shipped config's name by its path, unless a file has that name.

    So `--config=quickstart` and `--config=configs/quickstart.py` work in any folder.
    """
    argv = list(argv)
    for i, argument in enumerate(argv):
        flag, is_joined, value = argument.partition("=")
        at = i if is_joined else i + 1
        if flag not in ("--config", "-config") or at == len(argv):
            continue
        path = pathlib.Path(os.path.expanduser(value if is_joined else argv[at]))
        is_name = path.suffix in ("", ".py") and str(path.parent) in (".", "configs")
        shipped = config_files.find().get(path.stem)
        if is_name and shipped and not path.is_file():
            argv[at] = f"{flag}={shipped}" if is_joined else shipped
    return argv


def _parse(argv):
    """Parses the flags; prints errors of ml_collections for --config as one line."""
    try:
        rest = flags.FLAGS(_find_config(argv))
        if "config" in flags.FLAGS and flags.FLAGS.config is not None:
            flags.FLAGS.config.to_dict()  # a missing file is reported only on first use
        return rest
    except SystemExit:  # absl exits with 1 after --help
        sys.exit(0)
    except flags.Error as error:
        message = error
    except (AttributeError, LookupError) as error:
        while error.args and isinstance(error.args[0], Exception):
            error = error.args[0]  # a KeyError inside an AttributeError
        message = f"--config has no field {error.args[0] if error.args else ''}"
    except OSError as error:  # a list of attempts; the last line has the reason
        names = ", ".join(sorted(config_files.find()))
        message = (
            f"--config: {str(error).splitlines()[-1]}; shipped configs are {names}"
        )
    except (ImportError, NameError, SyntaxError, TypeError, ValueError) as error:
        message = f"--config: {type(error).__name__}: {error}"
    _stop(message, BadInput.exit_code)


def _find_backend_fault():
    """Returns why JAX cannot use the requested platform; None if it can."""
    if "jax" not in sys.modules:
        return None
    try:
        sys.modules["jax"].devices()
    except (AssertionError, RuntimeError) as error:  # AssertionError for cuda
        asked = os.environ.get("JAX_PLATFORMS", "")
        why = str(error).splitlines()[0] if str(error) else "no such device"
        return (
            f"JAX_PLATFORMS={asked}: JAX cannot use it ({why}); unset it, or install "
            "figr_jax[cuda13] on a machine with an NVIDIA GPU"
        )
    return None


def _tell_unraisable(unraisable):
    # After a failed read, orbax's other reads report to a closed event loop.
    if str(unraisable.exc_value) != "Event loop is closed":
        sys.__unraisablehook__(unraisable)


def run(main, takes_arguments=False):
    """Runs the main function of a command.

    Args:
      main: function. If it raises `BadInput` or `FailedWork`, the process prints one
        line and exits with that error's code.
      takes_arguments: whether `main` takes the positional arguments, a list of strings.
        If not, positional arguments are an error.
    """

    def call(argv):
        # TFDS and orbax log every step, and tracebacks of the errors that they raise.
        logging.set_verbosity(logging.FATAL)
        standard_logging.getLogger("asyncio").setLevel(standard_logging.CRITICAL)
        try:
            if takes_arguments:
                main(argv[1:])
            elif len(argv) > 1:
                raise BadInput(f"unexpected argument {argv[1]!r}")
            else:
                main()
        except (BadInput, FailedWork) as error:
            _stop(error, error.exit_code)
        except OSError as error:  # a full disk, a folder that was removed
            _stop(error, FailedWork.exit_code)
        except Exception as error:
            if is_out_of_memory(error):
                _stop(f"out of memory: {error}", FailedWork.exit_code)
            if fault := _find_backend_fault():
                _stop(fault, BadInput.exit_code)
            raise

    sys.unraisablehook = _tell_unraisable
    # Not KeyboardInterrupt: a callback of jax would swallow it.
    for number in signals.ENDING:
        signal.signal(number, lambda number, _: _stop("stopped", 128 + number))
    app.run(call, flags_parser=_parse)
