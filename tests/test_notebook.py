"""The notebook's code cells run, one after the other, as a reader runs them."""

import json
import os
import subprocess
import sys

from conftest import ROOT


def test_the_code_cells_run(data_dir, tmp_path):
    notebook = json.loads((ROOT / "docs/quickstart.ipynb").read_text())
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    script = "\n".join("".join(cell["source"]) for cell in cells)
    script += "\nassert images.shape == (24, 32, 32, 1) and images.min() < 64\n"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TFDS_DATA_DIR": str(data_dir)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "meta-steps: 10"
