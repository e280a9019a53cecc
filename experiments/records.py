"""Files in experiments/results: records with provenance, and logs of measurements."""

import json
import pathlib

from figr_jax.common import files, provenance

ROOT = pathlib.Path(__file__).parent.parent  # of the project
RESULTS = ROOT / "experiments" / "results"


def write(name, record):
    """Writes a dict with its provenance to `RESULTS` as JSON."""
    files.write_json(RESULTS / name, record | provenance.describe())
    print(f"wrote {RESULTS / name}")


def append(name, line):
    """Appends a dict with its provenance to a log in `RESULTS`, as a line of JSON."""
    with open(RESULTS / name, "a") as file:
        file.write(json.dumps(line | provenance.describe()) + "\n")


def read_log(name):
    """Reads a log in `RESULTS`, a list of dicts."""
    return [json.loads(line) for line in (RESULTS / name).read_text().splitlines()]
