"""A run that is damaged, stopped, killed or out of room loses little and says so."""

import contextlib
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import ROOT, SHRINK, edit_info, metrics, quick, start_command

import figr_jax
from figr_jax import checkpoints, generation, reptile, training
from figr_jax.common.errors import BadInput, FailedWork
from figr_jax.data import episodes
from figr_jax.training import lock, runlog, sample_grid, start, store

CONFIG = f"--config={ROOT / 'configs/subpixel.py'}"
ENDLESS = "--config.run.meta_steps=1000000"


def assert_equal(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


@pytest.fixture
def run(whole, tmp_path):
    """A copy of a whole run's folder."""
    return shutil.copytree(whole[0], tmp_path / "run")


def flip(file, place):
    content = bytearray(file.read_bytes())
    content[int(place * (len(content) - 1))] ^= 1
    file.write_bytes(content)


def empty(folder):
    shutil.rmtree(folder)
    folder.mkdir()


def to_data(change):
    """Does something to every file of a step that holds weights."""

    def damage(step):
        for file in step.glob("*/d/*"):
            change(file)

    return damage


DAMAGE = {
    "truncated": to_data(lambda file: os.truncate(file, file.stat().st_size // 2)),
    "missing": to_data(lambda file: file.unlink()),
    "flipped": to_data(lambda file: flip(file, 0.5)),
    "empty": empty,
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_the_newest_good_step_is_used_and_the_damaged_one_named(
    kind, run, whole, data_dir, capsys
):
    for name in ("snapshots", "checkpoints"):
        DAMAGE[kind](run / name / "6")
    assert_equal(figr_jax.load(run).slow, figr_jax.load(run / "snapshots/4").slow)
    assert f"warning: {run}/snapshots/6: " in capsys.readouterr().err
    state = training.train(quick(), run, data_dir)
    said = capsys.readouterr()
    assert f"warning: {run}/checkpoints/6: " in said.err
    assert f"resuming from {run}/checkpoints/4" in said.out
    assert_equal(state, whole[1])
    assert metrics(run) == metrics(whole[0])
    assert_equal(figr_jax.load(run).slow, state.slow)
    assert (run / "damaged/6").is_dir()
    assert not capsys.readouterr().err  # what was saved anew is whole


def test_sample_names_a_damaged_snapshot_in_one_line(run, data_dir, tmp_path):
    DAMAGE["flipped"](run / "snapshots/6")
    name = json.loads((run / "split.json").read_text())["heldout"][0]
    args = (f"--checkpoint={run}", f"--heldout={name}", f"--data_dir={data_dir}")
    process = start_command("sample", *args, f"--out={tmp_path}/out")
    _, err = process.communicate(timeout=100)
    assert process.returncode == 0 and (tmp_path / "out/grid.png").exists()
    assert err.startswith(f"warning: {run}/snapshots/6: ") and err.count("\n") == 1


def test_where_nothing_is_good_nothing_is_used(run, data_dir):
    for name in ("snapshots", "checkpoints"):
        for step in (run / name).iterdir():
            empty(step)
    before = sorted(run.rglob("*"))
    with pytest.raises(
        FailedWork, match="snapshots: all that was saved there is damaged"
    ):
        figr_jax.load(run)
    with pytest.raises(FailedWork, match="checkpoints: all that was saved there is"):
        training.train(quick(), run, data_dir)
    assert sorted(run.rglob("*")) == before


@pytest.mark.parametrize(
    "step, item", [("snapshots/6", "slow"), ("checkpoints/6", "state")]
)
def test_flipped_bits_never_give_wrong_weights(step, item, whole, tmp_path):
    good = whole[0] / step
    info, state = checkpoints.read_info(good), whole[1]
    template = {"slow": state.slow, "state": state}[item]
    refused = 0
    for file in sorted(p for p in good.rglob("*") if p.is_file()):
        for place in (0, 0.3, 0.6, 1):
            bad = shutil.copytree(good, tmp_path / "bad")
            flip(bad / file.relative_to(good), place)
            try:
                assert checkpoints.read_info(bad) == info
                assert_equal(checkpoints.load(bad, item, template, info), template)
            except FailedWork as error:
                assert str(bad) in str(error)
                refused += 1
            shutil.rmtree(bad)
    assert refused > 10


def test_what_the_first_format_holds_is_still_read(run, whole, tmp_path, data_dir):
    older, info = tmp_path / "older", checkpoints.read_info(run / "checkpoints/6")
    state = whole[1]._replace(optimizer=whole[1].optimizer[0])  # not of the decay
    with contextlib.closing(store.Store(older, 0)) as saver:
        saver.save(6, state, state.slow, info)
        saver.wait()

    def to_first(info):
        for name in ("own_checksum", "format", "rewinds"):
            info.pop(name)
        del info["config"]["run"]["on_divergence"]  # a field that came later

    for step in older.glob("*s/6"):
        edit_info(step, to_first)
    assert_equal(figr_jax.load(older).slow, whole[1].slow)
    assert_equal(
        training.train(quick(meta_steps=8), older, data_dir),
        training.train(quick(meta_steps=8), run, data_dir),
    )
    assert [record["step"] for record in metrics(run)] == [2, 4, 6, 8]


def test_a_later_format_is_refused_and_left_alone(run, data_dir):
    for step in run.glob("*s/6"):
        edit_info(step, lambda info: info.update(format=99, version="9.1"))
    for use in (figr_jax.load, lambda run: training.train(quick(), run, data_dir)):
        with pytest.raises(BadInput, match="written by figr_jax 9.1 in format 99"):
            use(run)
    assert (run / "checkpoints/6").is_dir()


def test_a_snapshot_from_a_gpu_is_read_on_a_cpu(run, whole):
    (file,) = (run / "snapshots/6").rglob("_sharding")
    where = {"sharding_type": "SingleDeviceSharding", "device_str": "cuda:0"}
    leaves = dict.fromkeys(json.loads(file.read_text()), json.dumps(where))
    file.write_text(json.dumps(leaves))
    assert_equal(figr_jax.load(run).slow, whole[1].slow)


def test_one_writer_that_can_be_asked_to_stop(tmp_path, data_dir):
    """A second run is refused; SIGTERM saves; a killed run's lock is taken over."""
    workdir = tmp_path / "run"
    args = (CONFIG, f"--workdir={workdir}", f"--data_dir={data_dir}", *SHRINK)
    endless = (*args, ENDLESS, "--config.run.save_every=1000000")

    def start():
        process = start_command("main", *endless)
        for line in process.stdout:
            if line.startswith("meta-step "):
                return process
        raise AssertionError(process.communicate())

    process = start()
    second = start_command("main", *args)
    _, err = second.communicate(timeout=100)
    holder = f"process {process.pid} on {socket.gethostname()}"
    assert second.returncode == 2 and f"--workdir={workdir}: {holder}" in err
    assert err.count("\n") == 1

    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=100)
    assert (process.returncode, err) == (0, "")
    step = int(re.search(r"stopped after meta-step (\d+): the newest", out)[1])
    assert (workdir / f"checkpoints/{step}").is_dir()
    assert (
        int(figr_jax.load(workdir).info["format"]) and not (workdir / "lock").exists()
    )

    process = start()
    process.kill()
    process.communicate()
    process = start_command("main", *endless)
    for line in process.stdout:
        if line.startswith(f"resuming from {workdir}/checkpoints/{step}"):
            break
    for line in process.stdout:
        if line.startswith("meta-step "):
            break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=100)
    assert process.returncode == 0
    assert re.fullmatch(r"warning: .* on .* was killed before .*; taking over\n", err)


def test_ctrl_c_that_also_ends_the_reader_of_the_output(tmp_path, data_dir):
    args = (CONFIG, f"--workdir={tmp_path}/run", f"--data_dir={data_dir}", *SHRINK)
    process = start_command("main", *args, ENDLESS, "--config.run.save_every=1000000")
    for line in process.stdout:
        if line.startswith("meta-step "):
            break
    process.stdout.close()  # as `main | tee log` has it
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=100) == 0
    assert figr_jax.load(tmp_path / "run").info["format"] == 3


def test_a_second_signal_stops_at_once(tmp_path, data_dir):
    many = "--config.run.{}=1000000"  # one block without end
    fields = [many.format(name) for name in ("log_every", "save_every", "sample_every")]
    args = (CONFIG, f"--workdir={tmp_path}/run", f"--data_dir={data_dir}", *SHRINK)
    process = start_command("main", *args, ENDLESS, *fields, "--config.inner.steps=9")
    for line in process.stdout:
        if line.startswith("compiled"):
            break
    time.sleep(2)  # the block has begun
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline().startswith("stopping after this block")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (130, "error: stopped\n")


NOTEBOOK = """
import signal, sys, threading
sys.path.insert(0, "tests")
from conftest import quick
from figr_jax import training
names = "meta_steps", "log_every", "save_every", "sample_every"
cfg = quick(**{name: 10**6 for name in names})
cfg.inner.steps = 9
mine = "kept"
try:
    training.train(cfg, sys.argv[1], sys.argv[2])
except KeyboardInterrupt:
    print("interrupted", mine, flush=True)
"""


def interrupt_notebook(workdir, data_dir):
    """Presses Ctrl-C in a notebook's run until it says so, or 12 times."""
    command = [sys.executable, "-c", NOTEBOOK, workdir, data_dir]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    for line in process.stdout:
        if line.startswith("compiled"):
            break
    time.sleep(5)  # the block has begun
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline().startswith("stopping after this block")
    for _ in range(12):
        process.send_signal(signal.SIGINT)
        if select.select([process.stdout], [], [], 2)[0]:
            break
    else:
        process.kill()
    line = process.stdout.readline()
    process.kill()  # the block is still running
    process.wait()
    return line


def test_a_second_signal_interrupts_a_notebook(tmp_path, data_dir):
    # JAX's own code loses an interrupt that comes while it runs, on a busy machine
    # nearly always: a few runs are tried.
    runs = (interrupt_notebook(tmp_path / str(n), data_dir) for n in range(5))
    assert "interrupted kept\n" in runs


def test_kills_change_nothing(data_dir):
    """The short form of experiments/reliability/kill_resume.py."""
    command = [sys.executable, ROOT / "experiments/reliability/kill_resume.py"]
    options = ["--kills=3", "--meta_steps=240", f"--data_dir={data_dir}", "--runs=1"]
    done = subprocess.run(
        [*command, *options], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["kills"] == 3 and result["resumes"] and result["bit_equal"]


@contextlib.contextmanager
def small_disk(path, options):
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "none", path]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("to mount a small disk needs the rights of root")
    try:
        yield path
    finally:
        subprocess.run(["umount", path], check=True)


def fill(disk):
    with open(disk / "filler", "wb", buffering=0) as file:
        with contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))


def take_inodes(disk):
    with contextlib.suppress(OSError):
        for i in range(10**6):
            (disk / f"filler{i}").touch()


def make_read_only(disk):
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)


FAULTS = {
    "full": (fill, "No space left on device"),
    "no inodes": (take_inodes, "No space left on device"),
    "read-only": (make_read_only, "Read-only file system"),
}


@pytest.fixture
def at_grid(monkeypatch):
    """Has something happen at the sample grid of a meta-step, before its save."""
    events = {}
    write = sample_grid.write

    def write_grid(workdir, state, *args):
        events.get(int(state.step), lambda: None)()
        write(workdir, state, *args)

    monkeypatch.setattr(sample_grid, "write", write_grid)
    return events


def wait_for_save(workdir, step):
    names = [workdir / "checkpoints" / str(step), workdir / "snapshots" / str(step)]
    while not all(name.is_dir() for name in names):
        time.sleep(0.01)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_disk_that_fails(fault, tmp_path, data_dir, whole, at_grid, capsys):
    strike, reason = FAULTS[fault]
    with small_disk(tmp_path / "disk", "size=4m,nr_inodes=500") as disk:
        workdir = disk / "run"
        at_grid[4] = lambda: (wait_for_save(workdir, 2), strike(disk))
        cfg = quick(sample_every=2)
        with pytest.raises(FailedWork) as raised:
            training.train(cfg, workdir, data_dir)
        assert f"meta-step 6 cannot be saved: {reason}" in str(raised.value)
        assert f"newest checkpoint is {workdir}/checkpoints/2" in str(raised.value)
        warnings = capsys.readouterr().err
        assert "warning: the checkpoint of meta-step 4 cannot be saved" in warnings
        assert re.search(rf"no sample grid at meta-step 4: .*{reason}", warnings)
        unlogged = "metrics.jsonl: Read-only file system; will retry"
        assert (unlogged in warnings) == (fault == "read-only")
        figr_jax.load(workdir)  # what was saved before is whole

        # Once the fault is mended, the run goes on as if nothing had been.
        at_grid.clear()
        subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
        for filler in disk.glob("filler*"):
            filler.unlink()
        state = training.train(cfg, workdir, data_dir)
        assert_equal(state, whole[1])
        assert metrics(workdir) == metrics(whole[0])


def test_room_that_comes_back_is_used(tmp_path, data_dir, whole, at_grid, capsys):
    with small_disk(tmp_path / "disk", "size=4m") as disk:
        at_grid[2] = lambda: fill(disk)
        at_grid[4] = (disk / "filler").unlink
        state = training.train(quick(sample_every=2), disk / "run", data_dir)
        assert_equal(state, whole[1])
        assert metrics(disk / "run") == metrics(whole[0])
        assert {p.name for p in (disk / "run/checkpoints").iterdir()} == {"4", "6"}
        assert "checkpoint of meta-step 2 cannot be" in capsys.readouterr().err


def test_a_folder_that_was_removed(tmp_path, data_dir, whole, at_grid, capsys):
    workdir = tmp_path / "run"
    at_grid[4] = lambda: shutil.rmtree(workdir)

    def try_another():  # the lock is there again
        with pytest.raises(BadInput, match=f"process {os.getpid()} on"):
            training.train(quick(), workdir, data_dir)

    at_grid[6] = try_another
    state = training.train(quick(sample_every=2), workdir, data_dir)
    assert f"{workdir}: was removed; recreated" in capsys.readouterr().err
    assert_equal(state, whole[1])
    assert_equal(figr_jax.load(workdir).slow, state.slow)
    assert (workdir / "split.json").exists() and not (workdir / "lock").exists()


def test_a_folder_that_another_run_took_is_left_to_it(tmp_path, data_dir, at_grid):
    workdir = tmp_path / "run"

    def move_and_take():
        wait_for_save(workdir, 2)
        workdir.rename(tmp_path / "moved")
        other.append(lock.SoleWriter(workdir))

    other, at_grid[4] = [], move_and_take
    with pytest.raises(FailedWork, match="trains there"):
        training.train(quick(sample_every=2), workdir, data_dir)
    assert {path.name for path in workdir.iterdir()} <= {"lock", "samples"}


def test_what_others_put_beside_checkpoints_is_left_alone(run, data_dir):
    kept = [run / name for name in ("checkpoints/best", "snapshots/²", "snapshots/04")]
    for folder in kept:
        folder.mkdir()
    (run / "snapshots/500").touch()
    training.train(quick(meta_steps=7), run, data_dir)
    assert all(folder.is_dir() for folder in kept)
    assert int(figr_jax.load(run).info["config"]["run"]["meta_steps"]) == 7


def test_a_damaged_snapshot_is_mended_from_its_checkpoint(run, whole, data_dir, capsys):
    DAMAGE["flipped"](run / "snapshots/6")
    training.train(quick(), run, data_dir)
    said = capsys.readouterr()
    assert "nothing to do" in said.out and "rewritten from the checkpoint" in said.err
    assert_equal(figr_jax.load(run / "snapshots/6").slow, whole[1].slow)


@pytest.mark.parametrize("name", ["a[1]", "what?"])
def test_a_path_that_orbax_cannot_read_again(name, tmp_path):
    with pytest.raises(BadInput, match="orbax cannot read from a path with"):
        training.train(quick(), tmp_path / name)


def test_a_record_without_its_checksum_is_not_trusted(run):
    path = run / "snapshots/6/info/metadata"
    path.write_text(path.read_text().replace('"own_checksum"', '"own_checksun"'))
    with pytest.raises(FailedWork, match="its info does not match"):
        checkpoints.read_info(run / "snapshots/6")


@pytest.fixture
def unlucky(monkeypatch):
    """Makes the fourth meta-step's episodes fatal, as they are drawn at first."""
    _, bad = episodes.keys(quick().run.seed, jnp.int32(3))
    meta_step = reptile.meta_step

    def poisoned(networks, state, tasks, key, *args):
        fatal = jnp.all(jax.random.key_data(key) == jax.random.key_data(bad))
        tasks = jax.tree.map(lambda x: jnp.where(fatal, jnp.nan, x), tasks)
        return meta_step(networks, state, tasks, key, *args)

    monkeypatch.setattr(reptile, "meta_step", poisoned)


def test_divergence_is_found_before_it_is_saved(tmp_path, data_dir, unlucky):
    with pytest.raises(FailedWork, match="meta-step 4: losses or parameters are") as e:
        training.train(quick(), tmp_path, data_dir)
    assert f"checkpoint is {tmp_path}/checkpoints/2" in str(e.value)
    assert "--config.inner.learning_rate" in str(e.value)
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["2"]


def test_rewinding_draws_other_episodes(tmp_path, data_dir, unlucky, capsys):
    cfg = quick(on_divergence="rewind")
    state = training.train(cfg, tmp_path / "at once", data_dir)
    assert "meta-step 4: losses or parameters" in capsys.readouterr().err
    assert [record["step"] for record in metrics(tmp_path / "at once")] == [2, 4, 6]
    # Also if it is interrupted after the rewind.
    training.train(
        quick(on_divergence="rewind", meta_steps=4), tmp_path / "b", data_dir
    )
    assert_equal(training.train(cfg, tmp_path / "b", data_dir), state)


def test_a_run_that_is_asked_to_stop_does_not_rewind_for_ever(
    tmp_path, data_dir, monkeypatch, capsys
):
    cfg = quick(on_divergence="rewind", rewinds=1000)
    cfg.outer.update(optimizer="sgd", learning_rate=1e30)
    rewind = start.rewind

    def rewind_and_ask(*args):
        signal.raise_signal(signal.SIGTERM)
        return rewind(*args)

    monkeypatch.setattr(start, "rewind", rewind_and_ask)
    state = training.train(cfg, tmp_path, data_dir)
    assert int(state.step) == 0
    said = capsys.readouterr()
    assert "stopped: there is no checkpoint yet" in said.out
    assert said.err.count("with other episodes (rewind") == 1


def test_rewinds_are_counted(tmp_path, data_dir, capsys):
    cfg = quick(on_divergence="rewind", rewinds=2)
    cfg.outer.update(optimizer="sgd", learning_rate=1e30)
    with pytest.raises(FailedWork, match="also after 2 rewinds.*no checkpoint yet"):
        training.train(cfg, tmp_path, data_dir)
    assert capsys.readouterr().err.count("with other episodes (rewind") == 2


def test_what_is_due_is_done_before_a_stop(tmp_path, data_dir, monkeypatch):
    """Nobody would do it later: the run goes on after the checkpoint."""
    block = runlog.RunLog.block

    def block_and_ask(log, step, *args):
        block(log, step, *args)
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(runlog.RunLog, "block", block_and_ask)
    state = training.train(quick(sample_every=2), tmp_path, data_dir)
    assert int(state.step) == 2
    assert [path.name for path in tmp_path.glob("samples/*")] == ["2.png"]


def test_a_run_can_be_read_while_it_is_written(tmp_path, data_dir, capsys):
    workdir = tmp_path / "run"
    args = (CONFIG, f"--workdir={workdir}", f"--data_dir={data_dir}", *SHRINK)
    process = start_command("main", *args, ENDLESS, "--config.run.sample_every=1000000")
    seen = set()
    try:
        for line in process.stdout:
            if line.startswith("meta-step 20/"):
                break
        # What it prints is taken, or it would wait for that.
        threading.Thread(target=process.stdout.read, daemon=True).start()
        # At least 30 times, and for as long as a slow machine needs.
        reads, end = 0, time.monotonic() + 100
        while reads < 30 or (len(seen) <= 5 and time.monotonic() < end):
            seen.add(zlib_of(generation.load(workdir).slow))
            reads += 1
    finally:
        process.kill()
        process.communicate()
    assert len(seen) > 5
    assert not capsys.readouterr().err


def zlib_of(tree):
    return tuple(sorted(checkpoints.checksums(tree).items()))


def test_a_refused_start_leaves_nothing_behind(tmp_path, data_dir):
    cfg = quick()
    cfg.inner.shots = 1000
    with pytest.raises(BadInput, match="no class of glyphs has 1000 images"):
        training.train(cfg, tmp_path / "run", data_dir)
    assert not (tmp_path / "run").exists()
