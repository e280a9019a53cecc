"""Provenance of results: command, date, commit, device and versions."""

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

    Changes in experiments/results do not count, so that several results in a row have
    the same commit.
    """
    root = pathlib.Path(__file__).parents[2]
    if not (root / ".git").exists():  # installed, perhaps in another checkout
        return None
    try:
        commit = _git(root, "describe", "--always", "--exclude=*")
        code = ".", ":!experiments/results"
        changed = _git(root, "status", "--porcelain", "--untracked-files=no", *code)
    except OSError:  # no git
        return None
    return f"{commit}-dirty" if commit and changed else commit or None


def _git(root, *command):
    git = subprocess.run(["git", *command], capture_output=True, text=True, cwd=root)
    return git.stdout.strip()


def describe():
    """Returns command, date, commit, device kind and versions, a JSON-able dict."""
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
