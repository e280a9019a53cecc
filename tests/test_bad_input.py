"""What a user can get wrong ends in one line on stderr and exit code 2."""

import os
import re
import shutil
import subprocess
import sys

import jax
import pytest
from conftest import ROOT, SHRINK, png, run_command, start_command

from figr_jax import config
from figr_jax.common.errors import BadInput

CONFIG = f"--config={ROOT / 'configs/subpixel.py'}"


def complaint(name, *args):
    process = start_command(name, *args)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 2, (out, err)
    assert err.startswith("error: ") and err.count("\n") == 1, err
    return err


def test_importing_a_command_defines_no_flags():
    commands = "main, sample, evaluate, prepare, import_torch, studio.__main__"
    imports = "; ".join(f"import figr_jax.{x}" for x in commands.split(", "))
    subprocess.run([sys.executable, "-c", imports], check=True, timeout=120)


@pytest.mark.parametrize("name", ["cuda", "METAL"])
def test_a_backend_that_is_not_there(tmp_path, name):
    if name == "cuda" and jax.default_backend() == "gpu":
        pytest.skip("this machine has a GPU")
    process = start_command(
        *("sample", "--checkpoint=omniglot-32", "--support=x", f"--out={tmp_path}"),
        env={**os.environ, "JAX_PLATFORMS": name},
    )
    error = process.communicate(timeout=120)[1]
    assert process.returncode == 2 and error.count("\n") == 1
    assert f"error: JAX_PLATFORMS={name}: JAX cannot use it" in error


def test_configs_are_found_by_name_from_anywhere(tmp_path):
    command = [sys.executable, "-m", "figr_jax.main"]
    for name in ("quickstart", "configs/quickstart.py"):
        done = subprocess.run(
            [*command, f"--config={name}", "--config.run.meta_steps=-1"],
            **{"cwd": tmp_path, "capture_output": True, "text": True},
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert "run.meta_steps=-1: must be from 1" in done.stderr
    assert "configs are cifar100, " in complaint("main", "--config=quickstat")


def test_home_is_expanded_in_every_path(tmp_path, workdir):
    crosses = tmp_path / "own"
    crosses.mkdir()
    for i in range(2):
        (crosses / f"{i}.png").write_bytes(png(i))
    shutil.copytree(workdir, tmp_path / "run")
    process = start_command(
        *("sample", "--checkpoint=~/run", "--support=~/own", "--out=~/out"),
        env={**os.environ, "HOME": str(tmp_path)},
    )
    assert process.wait(timeout=300) == 0
    assert (tmp_path / "out/grid.png").is_file() and not (ROOT / "~").exists()


def test_who_asks_for_help_did_nothing_wrong():
    assert "--checkpoint" in run_command("sample", "--help")


@pytest.mark.parametrize(
    "override, expected",
    [
        ("inner.stps=5", 'Did you mean "steps"'),
        ("inner.steps=five", "inner.steps=five"),
        ("inner.shots=0", "inner.shots=0: must be from 1 to"),
        ("dataset.image_size=33", "dataset.image_size=33: must be a power of two"),
        ("outer.learning_rate=-1", "outer.learning_rate=-1.0: must be a positive"),
    ],
)
def test_train_with_a_bad_config(tmp_path, override, expected):
    workdir = tmp_path / "run"
    args = (CONFIG, f"--workdir={workdir}", f"--config.{override}")
    assert expected in complaint("main", *args)
    assert not workdir.exists()


@pytest.mark.parametrize(
    "args, expected",
    [
        ([], "--config is missing"),
        (["--config=no/such.py"], "no/such.py"),
        ([CONFIG, "--wrokdir=x"], "Did you mean: workdir"),
        ([CONFIG, "steps=5"], "unexpected argument 'steps=5'"),
        ([CONFIG, r"--workdir=C:\me\own"], "orbax cannot read from a path with"),
        ([CONFIG, "--workdir=/proc/run"], "--workdir=/proc/run: cannot be created"),
        (
            [CONFIG, "--data_dir=/proc/d"],
            "--data_dir=/proc/d/glyphs: cannot be created",
        ),
    ],
)
def test_train_with_bad_flags(tmp_path, args, expected):
    workdir = [f"--workdir={tmp_path}"]
    assert expected in complaint("main", *workdir, *args)


def test_resume_with_other_networks(workdir, data_dir):
    args = (CONFIG, f"--workdir={workdir}", f"--data_dir={data_dir}", *SHRINK)
    got = complaint("main", *args, "--config.networks.width=4")
    assert "--config.networks.width=4: the run being resumed has 2" in got


@pytest.fixture
def folders(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "notes.txt").write_text("no image")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.png").write_text("no image")
    return tmp_path


@pytest.mark.parametrize(
    "support, expected",
    [
        (["--support={}/none"], "none: no such file or folder"),
        (["--support={}/empty"], "empty: no images in this folder"),
        (["--support={}/text"], "text: no images in this folder"),
        (["--support={}/broken"], "a.png: cannot be read as an image"),
        ([], "one of --support, --heldout and --recipe"),
        (["--heldout=latin capital ligature i"], "did you mean"),
        (
            ["--heldout=zzz"],
            "it has 50, such as 'LATIN CAPITAL LIGATURE IJ'; figr_jax.load",
        ),
        (["--support="], "(empty): no such file or folder"),
        (["--support={}/broken", "--count=0"], "--count=0"),
    ],
)
def test_sample_with_bad_support(workdir, folders, support, expected):
    out = folders / "out"
    args = [arg.format(folders) for arg in support]
    got = complaint("sample", f"--checkpoint={workdir}", *args, f"--out={out}")
    assert expected in got
    assert not out.exists()


def test_sample_with_flags_that_it_would_ignore(workdir):
    def refused(*args):
        return complaint("sample", f"--checkpoint={workdir}", *args)

    assert "--seed: has no effect with --recipe" in refused("--recipe=x", "--seed=1")
    assert "--invert: held-out images" in refused("--heldout=x", "--invert")


@pytest.mark.parametrize(
    "path, expected",
    [
        ("{folders}/none", "none: no such folder"),
        ("{folders}/empty", "empty: holds no snapshot"),
        ("{workdir}/checkpoints/4", "checkpoints/4: holds no snapshot"),
    ],
)
def test_sample_without_a_snapshot(folders, workdir, path, expected):
    path = path.format(folders=folders, workdir=workdir)
    assert expected in complaint("sample", f"--checkpoint={path}", "--support=x")


@pytest.mark.parametrize(
    "content, expected",
    [
        ("import no_such_module", "no_such_module"),
        ("def get_config(:", "SyntaxError"),
        ("x = 1", "get_config"),
        (
            "from ml_collections import ConfigDict\n"
            "def get_config(): return ConfigDict({'inner': {'stps': 1}})",
            "stps",
        ),
    ],
)
def test_train_with_a_bad_config_file(tmp_path, content, expected):
    (tmp_path / "own.py").write_text(content)
    args = (f"--config={tmp_path}/own.py", f"--workdir={tmp_path}/run")
    assert expected in complaint("main", *args)


def test_import_of_what_is_no_checkpoint(folders):
    pytest.importorskip("torch", reason="needs the extra [torch]")
    args = (f"--checkpoint={folders}/broken/a.png", f"--out={folders}/out")
    assert "a.png: cannot be read" in complaint("import_torch", *args)


@pytest.mark.parametrize(
    "args, expected",
    [
        ([], "--dataset is missing: must be one of glyphs, mnist, omniglot, figr8"),
        (["--dataset=folder:{}"], "no images in the folders of this folder; give"),
        (["--dataset=cats"], "--dataset=cats: must be one of glyphs, mnist"),
        (["--dataset=glyphs", "--image_size=33"], "--image_size=33: must be a power"),
        (["--dataset=glyphs", "--channels=2"], "--channels=2: must be 1 or 3"),
        (["--dataset=glyphs", "x"], "unexpected argument 'x'"),
        (["--dataset=folder:{}/none"], "none: no such folder"),
        (
            ["--dataset=figr8", "--manual_dir={}"],
            "holds neither Data.zip nor Data/ (the archive",
        ),
        (["--dataset=tfds:cifar100"], "tfds build cifar100 --file_format=array_record"),
        (["--dataset=mnist", "--data_dir=/proc/d"], "--data_dir=/proc/d/mnist: cannot"),
    ],
)
def test_prepare_with_bad_flags(tmp_path, args, expected):
    args = [f"--data_dir={tmp_path}", *(arg.format(tmp_path) for arg in args)]
    assert expected in complaint("prepare", *args)


@pytest.mark.parametrize(
    "path, value",
    [
        *[
            ("dataset.name", "cats"),
            ("dataset.split", "some"),
            ("run.bank", "disk"),
            ("dataset.image_size", 4),
            ("dataset.channels", 2),
        ],
        *[("dataset.heldout", -1), ("networks.family", "unet"), ("networks.width", 0)],
        *[("networks.stages", 6), ("networks.convolution", "fft")],
        *[("inner.steps", 0), ("inner.loss", "hinge"), ("inner.penalty_weight", -1.0)],
        *[("inner.critic_steps", 0), ("inner.optimizer", "chain")],
        ("outer.optimizer", "adam("),
        *[("inner.optimizer_args", "b1"), ("outer.optimizer_args", "b1=b2")],
        *[("inner.learning_rate", float("nan")), ("outer.tasks", 0)],
        *[
            ("run.meta_steps", 0),
            ("run.seed", 2**31),
            ("run.log_every", 0),
            ("run.save_every", 75),
        ],
    ],
)
def test_every_range_is_checked(path, value):
    cfg = config.default()
    section, field = path.split(".")
    cfg[section][field] = value
    with pytest.raises(
        BadInput, match=re.escape(f"--config.{path}={value!r}: must be")
    ):
        config.validate(cfg)


@pytest.mark.parametrize("section", ["inner", "outer"])
@pytest.mark.parametrize(
    "optimizer, args",
    [
        ("sgd", "b7=0.1"),  # no such argument
        ("lbfgs", ""),  # wants the value of the loss beside its gradient
    ],
)
def test_optimizers_are_tried_before_the_run(section, optimizer, args):
    cfg = config.default()
    cfg[section].update(optimizer=optimizer, optimizer_args=args)
    expected = (
        f"--config.{section}.optimizer='{optimizer}' with optimizer_args='{args}'"
    )
    with pytest.raises(BadInput, match=re.escape(expected)):
        config.validate(cfg)


def test_defaults_are_valid_and_the_papers():
    cfg = config.default()
    config.validate(cfg)
    # Table 1, FIGR-8.
    assert (cfg.inner.learning_rate, cfg.outer.learning_rate) == (1e-4, 1e-5)
    assert (cfg.inner.shots, cfg.inner.steps, cfg.dataset.heldout) == (8, 10, 50)
    assert (cfg.inner.optimizer, cfg.outer.optimizer) == ("sgd", "adam")


def test_a_config_without_all_of_its_fields(tmp_path):
    args = (CONFIG, f"--workdir={tmp_path}/run", "--config.run={}")
    assert "--config.run.seed is missing" in complaint("main", *args)
