"""The files that a command leaves in a folder of the user's.

The folder holds a list of the files that earlier calls of the command wrote, with their
checksums. The next call replaces or deletes these files, and no others.
"""

import json
import pathlib
import zlib

from figr_jax import files
from figr_jax.errors import BadInput

LIST = "written.json"


def find_ours(folder, command=None):
    """Finds the files that earlier calls wrote into a folder and nobody has changed.

    Args:
      folder: where to look.
      command: name of the command; None for any.

    Returns:
      A set of names.
    """
    listed = _read(folder) or {}
    return {
        name
        for writer, names in listed.items()
        if command in (None, writer)
        for name, checksums in names.items()
        if _is_ours(pathlib.Path(folder), name, checksums)
    }


def _read(folder):
    """The list of a folder: command to name to checksums; None if it is not ours."""
    try:
        listed = json.loads(pathlib.Path(folder, LIST).read_text())["figr_jax"]
        return {writer: dict(names) for writer, names in listed.items()}
    except (OSError, ValueError, LookupError, AttributeError, TypeError):
        return None


def _is_ours(folder, name, checksums):
    if pathlib.Path(name).name != name:  # it would lead out of the folder
        return False
    try:
        return zlib.crc32((folder / name).read_bytes()) in checksums
    except (OSError, TypeError):
        return False


def check(folder, names, command, flag):
    """Checks that writing files would overwrite nothing of the user's.

    Args:
      folder: where to write.
      names: of the files.
      command: name of the command that writes.
      flag: that gave the folder, for messages.

    Raises:
      BadInput: if a file of one of the names is not of an earlier call.
    """
    ours = find_ours(folder, command)
    if _read(folder) is not None:
        ours.add(LIST)
    for name in (*names, LIST):
        if pathlib.Path(folder, name).exists() and name not in ours:
            raise BadInput(
                f"{flag}={folder}: {name} is there already and was not written by this "
                "command; give another folder"
            )


def write(folder, contents, command):
    """Writes files in place of those that an earlier call of the command wrote.

    Args:
      folder: exists.
      contents: dict: name to bytes. Check the names before.
      command: name of the command that writes.
    """
    folder, listed = pathlib.Path(folder), _read(folder) or {}
    before, ours = listed.get(command, {}), find_ours(folder, command)
    now = {name: [zlib.crc32(data)] for name, data in contents.items()}
    # Listed before they are written: an interrupted call leaves no file unlisted.
    both = {name: before.get(name, []) + now.get(name, []) for name in {*before, *now}}
    files.write_json(folder / LIST, {"figr_jax": listed | {command: both}})
    for name in ours - contents.keys():
        (folder / name).unlink()
    for name, data in contents.items():
        files.write_bytes(folder / name, data)
    files.write_json(folder / LIST, {"figr_jax": listed | {command: now}})
