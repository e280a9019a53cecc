"""Several devices give what one gives, and talk once a meta-step."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT, SHRINK, start_verb

DEVICES = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=4"}

# The run's block of meta-steps on all devices: its program, as text.
PROGRAM = """
import jax, numpy as np
from figr_jax import adaptation, losses, networks, reptile, training
from figr_jax.data import episodes
import optax

mesh = training._make_mesh(8)
assert mesh.size == 4
nets = networks.build("dcgan", image_size=8, width=4, stages=1, latent=5)
inner = adaptation.Inner(losses.wgan_gp(), optax.adam(1e-3), 3)
outer = optax.adam(1e-3)
state = jax.eval_shape(lambda key: reptile.init(nets, key, outer), jax.random.key(0))
images = jax.ShapeDtypeStruct((5, 8, 3, 8, 8, 1), np.uint8)
block = training.make_block(nets, inner, outer, 8, 3, mesh)
print(jax.jit(block).lower(state, 5, 0, episodes.Streamed(images)).compile().as_text())
"""


def test_one_all_reduce_a_meta_step_and_nothing_else():
    command = [sys.executable, "-c", PROGRAM]
    text = subprocess.check_output(command, cwd=ROOT, env=DEVICES, text=True)
    collectives = "all-reduce|all-gather|all-to-all|reduce-scatter|collective-permute"
    found = re.findall(rf"({collectives})(?:-start)?\(", text)
    assert found == ["all-reduce"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory, data_dir):
    """Folders of the same run on 1 device, on 4, and on 4 and then 1."""
    config = f"--config={ROOT / 'configs/quickstart.py'}"
    args = (config, *SHRINK, "--config.outer.tasks=8", f"--data_dir={data_dir}")

    def run(name, place, meta_steps, **options):
        workdir = tmp_path_factory.getbasetemp() / name
        flags = (f"--workdir={workdir}", f"--config.run.bank={place}")
        steps = f"--config.run.meta_steps={meta_steps}"
        process = start_verb("main", *args, *flags, steps, **options)
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        assert f"on {4 if options else 1} of {4 if options else 1} devices" in out
        return workdir

    run("four and one", "device", 2, env=DEVICES)
    return {
        "one": run("one", "device", 4),
        "four": run("four", "host", 4, env=DEVICES),
        "four and one": run("four and one", "device", 4),
    }


@pytest.mark.parametrize("name", ["four", "four and one"])
def test_four_devices_equal_one(runs, name):
    def metrics(workdir):
        lines = (workdir / "metrics.jsonl").read_text().splitlines()
        records = [json.loads(line) for line in lines]
        return [{**r, "meta_steps_per_second": 0} for r in records]

    many, one = metrics(runs[name]), metrics(runs["one"])
    assert len(many) == len(one) == 2
    for a, b in zip(many, one, strict=True):
        # Sums of floats in another order.
        np.testing.assert_allclose(list(a.values()), list(b.values()), rtol=1e-5)
