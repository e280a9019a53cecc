"""The lock of a run's folder."""

import contextlib
import fcntl
import os
import socket

from figr_jax import files
from figr_jax.errors import BadInput, FailedWork, warn


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
        files.make_folder(folder, "--workdir")
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
