"""The lock of a run's folder."""

import contextlib
import fcntl
import os
import socket

from figr_jax.common import files
from figr_jax.common.errors import BadInput, FailedWork, warn


class SoleWriter:
    """Exclusive lock of a run's folder, released even if this process is killed.

    A context manager. On exit it removes the folder if it created it and it is empty.
    """

    def __init__(self, folder):
        """Creates `folder`, `pathlib.Path`, if needed, and locks it.

        Raises:
          BadInput: if another process holds it (the message says which), or the folder
            cannot be created.
        """
        self._folder, self._path = folder, folder / "lock"
        self._file = None  # descriptor of the lock
        self._is_new = not folder.exists()
        files.make_folder(folder, "--workdir")
        self._lock()

    def _lock(self):
        while True:
            # Read-only: a file open for writing keeps a disk from being remounted.
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
                    f"{self._path}: {error.strerror}; make sure that no other process "
                    "trains there"
                )
            self._file = file
            if self._is_ours():
                break
            os.close(file)  # its holder has just removed it
        if other:
            warn(f"{self._folder}: {other} was killed before it finished; taking over")
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
          Whether it was removed or moved.

        Raises:
          FailedWork: if another process has locked it first.
          OSError: if the folder cannot be recreated.
        """
        if self._is_ours():
            return False
        warn(f"{self._folder}: was removed; recreated")
        self._folder.mkdir(parents=True, exist_ok=True)
        os.close(self._file)
        self._file = None
        try:
            self._lock()
        except BadInput as error:
            raise FailedWork(str(error)) from error
        return True

    def __enter__(self):
        """Returns the lock, which is held already."""
        return self

    def __exit__(self, *_):
        """Releases the lock."""
        with contextlib.suppress(OSError):
            if self._is_ours():
                self._path.unlink()
                if self._is_new:
                    self._folder.rmdir()
        if self._file is not None:
            os.close(self._file)
