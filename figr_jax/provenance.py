"""Where a result is from: what every figure that is written down carries."""

import datetime
import pathlib
import platform
import shlex
import subprocess
import sys

import jax

import figr_jax


def read_commit():
    """The commit of this code, `-dirty` if changed; None if it is no checkout."""
    root = pathlib.Path(__file__).parent.parent
    if not (root / ".git").exists():  # installed, perhaps inside another's checkout
        return None
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, cwd=root)
    except OSError:  # no git
        return None
    return found.stdout.strip() or None


def describe():
    """Command, date, commit, kind of device and versions, a JSON-able dict."""
    return {
        "command": shlex.join(["python", *sys.orig_argv[1:]]),
        "date": datetime.date.today().isoformat(),
        "commit": read_commit(),
        "device": jax.devices()[0].device_kind,
        "platform": platform.machine(),
        "python": platform.python_version(),
        "jax": jax.__version__,
        "figr_jax": figr_jax.__version__,
    }
