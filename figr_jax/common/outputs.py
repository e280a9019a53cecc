"""The files that a command writes to a folder of the user.

The folder holds a list of the files that earlier calls of the command wrote, with their
checksums. The next call replaces or deletes these files, and no others.
"""

import json
import pathlib
import zlib

from figr_jax.common import files
from figr_jax.common.errors import BadInput

LIST = "written.json"


def find_ours(folder, command=None):
    """Finds the files in a folder that earlier calls wrote and nobody has changed.

    Args:
      folder: folder to search.
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
    """Reads a folder's list: command to name to checksums; None if it is not ours."""
    try:
        listed = json.loads(pathlib.Path(folder, LIST).read_text())["figr_jax"]
        return {writer: dict(names) for writer, names in listed.items()}
    except (OSError, ValueError, LookupError, AttributeError, TypeError):
        return None


def _is_ours(folder, name, checksums):
    if pathlib.Path(name).name != name:  # outside of the folder
        return False
    try:
        return zlib.crc32((folder / name).read_bytes()) in checksums
    except (OSError, TypeError):
        return False


def check(folder, names, command, flag):
    """Checks that writing files would overwrite no file of the user.

    Args:
      folder: folder to write to.
      names: names of the files.
      command: name of the command that writes.
      flag: flag that gave the folder, for messages.

    Raises:
      BadInput: if one of the files exists and no earlier call wrote it.
    """
    ours = find_ours(folder, command)
    if _read(folder) is not None:
        ours.add(LIST)
    for name in (*names, LIST):
        if pathlib.Path(folder, name).exists() and name not in ours:
            raise BadInput(
                f"{flag}={folder}: {name} exists and was not written by this command; "
                "give another folder"
            )


def write(folder, contents, command):
    """Writes files, in place of those from an earlier call of the command.

    Args:
      folder: existing folder.
      contents: dict of name to bytes; `check` the names first.
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
