"""Writing files so that nobody ever sees half of one."""

import json
import os
import pathlib

from figr_jax.errors import BadInput


def make_folder(path, flag):
    """Makes a folder that a flag names, with its parents.

    Returns:
      `pathlib.Path` of the folder.

    Raises:
      BadInput: if it cannot be made or written to.
    """
    if not str(path):
        raise BadInput(f"{flag} is empty: give a folder")
    path = pathlib.Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{flag}={path}: cannot be made ({error.strerror})") from error
    if not os.access(path, os.W_OK):
        raise BadInput(f"{flag}={path}: cannot be written to")
    return path


def write_bytes(path, data):
    """Writes to a temporary name beside `path`, then renames."""
    path = pathlib.Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path, value):
    """Writes `value` as indented JSON, see `write_bytes`."""
    write_bytes(path, (json.dumps(value, indent=2) + "\n").encode())
