"""File helpers: atomic writes, folders, locks and checksums."""

import contextlib
import fcntl
import io
import json
import os
import pathlib
import shutil
import zlib

import numpy as np

from figr_jax.common.errors import BadInput


def make_folder(path, flag):
    """Creates a folder that a flag names, with its parents.

    Returns:
      `pathlib.Path` of the folder.

    Raises:
      BadInput: if it cannot be created or written to.
    """
    if not str(path):
        raise BadInput(f"{flag} is empty: give a folder")
    path = pathlib.Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(
            f"{flag}={path}: cannot be created ({error.strerror})"
        ) from error
    if not os.access(path, os.W_OK):
        raise BadInput(f"{flag}={path}: cannot be written to")
    return path


def check_space(folder, needed, purpose):
    """Checks that a disk has room, before hours of work fail for lack of it.

    Args:
      folder: folder to write to; it need not exist yet.
      needed: bytes.
      purpose: use of the space; begins the error message.

    Raises:
      BadInput: if less is free.
    """
    folder = pathlib.Path(folder).absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise BadInput(
            f"{purpose} needs {needed / 1e6:,.0f} MB of disk, and {folder} has "
            f"{free / 1e6:,.0f} MB; give another folder with --data_dir"
        )


@contextlib.contextmanager
def lock(path, waiting):
    """Holds a lock, which is released even if this process is killed.

    Args:
      path: lock file, created if needed and never deleted.
      waiting: message to print if another process holds the lock.
    """
    with open(path, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{waiting}; waiting for it", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def json_checksum(value):
    """Computes the CRC-32 of a JSON-able value."""
    return zlib.crc32(json.dumps(value, sort_keys=True).encode())


def sync(path):
    """Waits until a file, or all files in a folder, are on disk.

    Without it, a renamed file may be empty after a power loss.
    """
    path = pathlib.Path(path)
    for file in filter(pathlib.Path.is_file, [path, *path.rglob("*")]):
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_bytes(path, data):
    """Writes to a temporary name in the folder of `path`, syncs, then renames."""
    path = pathlib.Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        sync(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_arrays(path, arrays):
    """Writes a dict of numpy arrays as .npz, see `write_bytes`."""
    file = io.BytesIO()
    np.savez(file, **arrays)
    write_bytes(path, file.getvalue())


def write_json(path, value):
    """Writes `value` as indented JSON, see `write_bytes`."""
    write_bytes(path, (json.dumps(value, indent=2) + "\n").encode())
