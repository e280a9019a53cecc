"""Where a result is from: what each result of this folder carries."""

import pathlib
import platform
import subprocess
import sys

import jax

ROOT = pathlib.Path(__file__).parent.parent.parent  # of the project


def describe():
    """Command, commit, kind of device and versions, a JSON-able dict."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    return {
        "command": " ".join(sys.argv),
        "commit": commit.stdout.strip(),
        "device": jax.devices()[0].device_kind,
        "python": platform.python_version(),
        "jax": jax.__version__,
    }
