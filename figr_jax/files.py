"""Writing files so that nobody ever sees half of one."""

import contextlib
import fcntl
import io
import json
import os
import pathlib
import shutil
import socket
import zlib

import numpy as np

from figr_jax.errors import BadInput, FailedWork, warn


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


def check_space(folder, needed, purpose):
    """Checks that a disk has room, before hours of work find that it has not.

    Args:
      folder: that will be written to; it need not exist yet.
      needed: bytes.
      purpose: what for, to begin the message with.

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
            f"{free / 1e6:,.0f} MB; another folder can be given with --data_dir"
        )


@contextlib.contextmanager
def lock(path, waiting):
    """Holds a lock that ends with this process, however it ends.

    Args:
      path: a file, made if need be, and left there.
      waiting: what to say if another process holds it.
    """
    with open(path, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{waiting}; waiting for it", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


class SoleWriter:
    """Holds a run's folder against other processes, until this one ends however it may.

    A context manager; on leaving, a folder that it made and that is empty is removed.
    """

    def __init__(self, folder):
        """Makes `folder`, `pathlib.Path`, if need be, and locks it.

        Raises:
          BadInput: if another process holds it (it is named), or it cannot be made.
        """
        self._folder, self._path = folder, folder / "lock"
        self._file = None  # descriptor of the lock
        self._is_new = not folder.exists()
        make_folder(folder, "--workdir")
        self._lock()

    def _lock(self):
        while True:
            # Read-only, so that it keeps no disk from being taken away.
            file = os.open(self._path, os.O_RDONLY | os.O_CREAT, 0o666)
            other = self._path.read_text(errors="replace")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(file)
                raise BadInput(
                    f"--workdir={self._folder}: {other or 'another process'} trains "
                    "there; wait for it, or give another folder"
                ) from None
            except OSError as error:
                warn(
                    f"{self._path}: {error.strerror}: see that nobody else trains there"
                )
            self._file = file
            if self._is_ours():
                break
            os.close(file)  # its holder has just removed it
        if other:
            warn(f"{self._folder}: {other} was ended before it was done; taking over")
        self._path.write_text(f"process {os.getpid()} on {socket.gethostname()}")

    def _is_ours(self):
        if self._file is None:
            return False
        try:
            return os.path.samestat(os.fstat(self._file), self._path.stat())
        except FileNotFoundError:
            return False

    def renew(self):
        """Locks the folder again if it was removed or moved away meanwhile.

        Returns:
          Whether it was.

        Raises:
          FailedWork: if another process has come first.
          OSError: if the folder cannot be made again.
        """
        if self._is_ours():
            return False
        warn(f"{self._folder}: was removed; made again")
        self._folder.mkdir(parents=True, exist_ok=True)
        os.close(self._file)
        self._file = None
        try:
            self._lock()
        except BadInput as error:
            raise FailedWork(str(error)) from error
        return True

    def __enter__(self):
        """Nothing more: it is locked."""
        return self

    def __exit__(self, *_):
        """Gives the folder up."""
        with contextlib.suppress(OSError):
            if self._is_ours():
                self._path.unlink()
                if self._is_new:
                    self._folder.rmdir()
        if self._file is not None:
            os.close(self._file)


def json_checksum(value):
    """CRC-32 of a JSON-able value."""
    return zlib.crc32(json.dumps(value, sort_keys=True).encode())


def write_bytes(path, data):
    """Writes to a temporary name beside `path`, then renames."""
    path = pathlib.Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
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
