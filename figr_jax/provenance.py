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
    """Returns the commit of this code, `-dirty` if changed; None without a checkout.

    Results that lie beside the code do not count: several made in turn are of one
    commit.
    """
    root = pathlib.Path(__file__).parent.parent
    if not (root / ".git").exists():  # installed, perhaps inside another's checkout
        return None
    try:
        commit = _git(root, "describe", "--always", "--exclude=*")
        code = ".", ":!experiments/results"
        changed = _git(root, "status", "--porcelain", "--untracked-files=no", *code)
    except OSError:  # no git
        return None
    return f"{commit}-dirty" if commit and changed else commit or None


def _git(root, *command):
    found = subprocess.run(["git", *command], capture_output=True, text=True, cwd=root)
    return found.stdout.strip()


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
