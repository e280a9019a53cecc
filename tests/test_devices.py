"""Several devices or processes give what one gives, and talk once a meta-step."""

import json
import os
import re
import socket
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT, SHRINK, start_command

from figr_jax import reptile

DEVICES = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=4"}

# The run's block of meta-steps on all devices: its program, as text.
PROGRAM = """
import jax, numpy as np
from figr_jax import adaptation, losses, networks, reptile
from figr_jax.data import feed
from figr_jax.training import block
import optax

mesh = block.make_mesh(8)
assert mesh.size == 4
nets = networks.build("dcgan", image_size=8, width=4, stages=1, latent=5)
inner = adaptation.Inner(losses.wgan_gp(), optax.adam(1e-3), 3)
outer = optax.adam(1e-3)
state = jax.eval_shape(lambda key: reptile.init(nets, key, outer), jax.random.key(0))
images = jax.ShapeDtypeStruct((5, 8, 3, 8, 8, 1), np.uint8)
made = block.make_block(nets, inner, outer, 8, 3, mesh)
print(jax.jit(made).lower(state, 5, 0, feed.Streamed(images)).compile().as_text())
"""


def test_one_all_reduce_a_meta_step_and_nothing_else():
    command = [sys.executable, "-c", PROGRAM]
    text = subprocess.check_output(command, cwd=ROOT, env=DEVICES, text=True)
    collectives = "all-reduce|all-gather|all-to-all|reduce-scatter|collective-permute"
    found = re.findall(rf"({collectives})(?:-start)?\(", text)
    assert found == ["all-reduce"]


def run_args(data_dir, workdir, place, meta_steps):
    config = f"--config={ROOT / 'configs/subpixel.py'}"
    flags = (f"--data_dir={data_dir}", f"--workdir={workdir}")
    fields = {"outer.tasks": 8, "run.bank": place, "run.meta_steps": meta_steps}
    # Not Adam: its first step is the sign of the gradient, whatever small it is, and so
    # makes of another order of sums another sign.
    fields |= {"inner.optimizer": "sgd", "inner.optimizer_args": ""}
    changed = [f"--config.{name}={value}" for name, value in fields.items()]
    return [config, *SHRINK, *flags, *changed]


def free_port():
    """A port that `open_mpi` can say, in the range that JAX takes from Open MPI."""
    for port in range(61440, 65536):
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def open_mpi(rank, size, port):
    """What Open MPI tells a process of a job on this machine."""
    return {
        **os.environ,
        "OMPI_MCA_orte_hnp_uri": f"{(port - 61440) << 12}.0;tcp://127.0.0.1:1",
        "OMPI_COMM_WORLD_SIZE": str(size),
        "OMPI_COMM_WORLD_RANK": str(rank),
        "OMPI_COMM_WORLD_LOCAL_RANK": str(rank),
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
    }


def run_two(args):
    """Runs a job of two processes, returns what each printed."""
    port = free_port()
    processes = [
        start_command("main", "--distributed", *args, env=open_mpi(rank, 2, port))
        for rank in range(2)
    ]
    said = []
    for process in processes:
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        said.append(out)
    return said


@pytest.fixture(scope="module")
def runs(tmp_path_factory, data_dir):
    """Folders of the same run on 1 device, 4, both in turn, and in two processes."""

    def run(name, place, meta_steps, **options):
        workdir = tmp_path_factory.getbasetemp() / name
        args = run_args(data_dir, workdir, place, meta_steps)
        process = start_command("main", *args, **options)
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        assert f"on {4 if options else 1} of {4 if options else 1} devices" in out
        return workdir

    run("four and one", "device", 2, env=DEVICES)
    run("one and four", "host", 2)
    two = tmp_path_factory.getbasetemp() / "two processes"
    for place, meta_steps in (("host", 2), ("device", 4)):  # the second resumes
        first, second = run_two(run_args(data_dir, two, place, meta_steps))
        assert "on 4 of 4 devices" in first and "meta-step" in first
        assert "meta-step" not in second  # the library of the collectives does talk
    return {
        "one": run("one", "device", 4),
        "four": run("four", "host", 4, env=DEVICES),
        "four and one": run("four and one", "device", 4),
        "one and four": run("one and four", "host", 4, env=DEVICES),
        "two processes": two,
    }


@pytest.mark.parametrize(
    "name", ["four", "four and one", "one and four", "two processes"]
)
def test_many_devices_equal_one(runs, name):
    def metrics(workdir):
        lines = (workdir / "metrics.jsonl").read_text().splitlines()
        records = [json.loads(line) for line in lines]
        return [
            [record[name] for name in reptile.Metrics._fields] for record in records
        ]

    many, one = metrics(runs[name]), metrics(runs["one"])
    assert len(many) == len(one) == 2
    for a, b in zip(many, one, strict=True):
        # Sums of floats in another order.
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_tasks_that_processes_cannot_share(data_dir, tmp_path):
    port = free_port()
    args = [
        *run_args(data_dir, tmp_path / "run", "device", 2),
        "--config.outer.tasks=3",
    ]
    processes = [
        start_command("main", "--distributed", *args, env=open_mpi(rank, 2, port))
        for rank in range(2)
    ]
    errors = [process.communicate(timeout=300)[1] for process in processes]
    assert processes[0].returncode == 2
    assert "--config.outer.tasks=3: must be a multiple of the 2 processes" in errors[0]
    assert processes[1].returncode  # when the first one ends, JAX may end it


def test_distributed_outside_of_a_job(data_dir, tmp_path):
    args = run_args(data_dir, tmp_path / "run", "device", 2)
    process = start_command("main", "--distributed", *args)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 2
    assert err.startswith("error: --distributed: ") and err.count("\n") == 1
