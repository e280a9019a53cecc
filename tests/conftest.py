import io
import json
import os
import pathlib
import subprocess
import sys
import tempfile

# Most of the suite's time is compilation, much of it of the same programs: resumed
# runs, commands that are called twice. What is compiled and prepared is kept for the
# whole suite, also for the workers of pytest-xdist, which inherit the environment. Set
# before jax is imported.
if "PYTEST_XDIST_WORKER" not in os.environ:
    _KEPT = tempfile.TemporaryDirectory()
    os.environ["FIGR_JAX_TESTS"] = _KEPT.name
    os.environ["JAX_COMPILATION_CACHE_DIR"] = f"{_KEPT.name}/compiled"
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.2"

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402
import tensorflow_datasets as tfds  # noqa: E402
from PIL import Image  # noqa: E402

from figr_jax import networks, training  # noqa: E402
from figr_jax.common import files
from figr_jax.data import bank as banks  # noqa: E402
from figr_jax.data.builders import base, sources  # noqa: E402

ROOT = pathlib.Path(__file__).parent.parent

# A run of seconds: the subpixel config, shrunk. Without the decay of the
# outer rate, by which a meta-step knows how long the whole run is.
SHRINK = [
    "--config.outer.decay=0",
    "--config.dataset.image_size=8",
    "--config.networks.width=2",
    "--config.networks.stages=1",
    "--config.networks.latent=3",
    "--config.inner.steps=2",
    "--config.run.meta_steps=4",
    "--config.run.log_every=2",
    "--config.run.sample_every=4",
    "--config.run.save_every=2",
]


def load_config(path):
    namespace = {}
    exec(path.read_text(), namespace)
    return namespace["get_config"]()


def shrink(cfg, **run):
    cfg.dataset.image_size = 8
    cfg.networks.update(width=2, stages=1, latent=3)
    cfg.inner.steps = 2
    cfg.outer.decay = 0.0
    cfg.run.update(meta_steps=6, log_every=2, sample_every=100, save_every=2)
    cfg.run.update(run)
    return cfg


def quick(**run):
    return shrink(load_config(ROOT / "configs/subpixel.py"), **run)


def metrics(workdir):
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    for record in records:
        assert record.pop("meta_steps_per_second") > 0
        shares = record.pop("waiting_for_episodes"), record.pop("between_blocks")
        assert min(shares) >= 0 and sum(shares) < 1
    return records


def edit_info(step, edit):
    """Changes the info record of a step as another version would have written it."""
    path = step / "info/metadata"
    info = json.loads(path.read_text())
    edit(info)
    if "own_checksum" in info:
        del info["own_checksum"]
        info["own_checksum"] = files.json_checksum(info)
    path.write_text(json.dumps(info))


def start_command(name, *args, stderr=subprocess.PIPE, **options):
    """Starts `python -m figr_jax.<name>`, as a user would."""
    return subprocess.Popen(
        [sys.executable, "-m", f"figr_jax.{name}", *map(str, args)],
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        cwd=ROOT,
        **options,
    )


def run_command(name, *args):
    """Runs a command that must succeed, returns what it printed."""
    process = start_command(name, *args)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return out


def encode(image, format="PNG", **options):
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def png(number, size=20):
    """A black square on white, of a size that depends on `number`."""
    image = Image.new("L", (size, size), 255)
    image.paste(0, (2, 2, 4 + number % (size - 6), 10))
    return encode(image)


def write_folder(path, files):
    for name, data in files.items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return path


def prepare_noise(name, names, data_dir, per_class=8, config=None, **attributes):
    """Prepares noise as data set `name`: no image is like another."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (len(names) * per_class, 8, 8), np.uint8)
    source = sources.Array(pixels)

    def collect(self, dl_manager):
        return base.group(np.repeat(names, per_class).tolist(), source.names, source)

    def info(self):
        return self._make_info(description="Noise.")

    members = {
        "VERSION": tfds.core.Version("1.0.0"),
        "_collect": collect,
        "_info": info,
    }
    members |= {"name": name, **attributes}
    make = type("Noise", (base.ImageClasses,), members, skip_registration=True)
    make(data_dir=data_dir, config=config).download_and_prepare()


@pytest.fixture(scope="session")
def tiny():
    """Tiny networks and their initial parameters."""
    nets = networks.build("dcgan", image_size=8, width=4, stages=1, latent=5)
    return nets, jax.jit(nets.init)(jax.random.key(0))


@pytest.fixture(scope="session")
def support():
    """A support of 3 random images for the tiny networks."""
    return jax.random.uniform(jax.random.key(9), (3, 8, 8, 1), jnp.float32, -1, 1)


@pytest.fixture(scope="session")
def data_dir():
    """A folder in which the glyphs are prepared, with their bank at 8x8."""
    path = pathlib.Path(os.environ["FIGR_JAX_TESTS"], "data")
    banks.load("glyphs", 8, 1, path)
    return path


@pytest.fixture(scope="session")
def workdir(tmp_path_factory, data_dir):
    """The folder of a finished tiny run."""
    path = tmp_path_factory.mktemp("run")
    config = f"--config={ROOT / 'configs/subpixel.py'}"
    run_command("main", config, f"--workdir={path}", f"--data_dir={data_dir}", *SHRINK)
    return path


@pytest.fixture(scope="session")
def whole(tmp_path_factory, data_dir):
    """An uninterrupted run of 6 meta-steps: its folder and its final state."""
    workdir = tmp_path_factory.mktemp("whole")
    return workdir, training.train(quick(), workdir, data_dir)
