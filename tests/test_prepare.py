"""The command that prepares a data set, and what becomes of it when it is killed."""

import contextlib
import json
import multiprocessing
import os
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time

import numpy as np
import pytest
from conftest import ROOT, run_command, start_command
from PIL import Image

from figr_jax.data import bank as banks
from figr_jax.data import parallel


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A folder of 40 classes of 8 to 320 images, 6,560 in all: enough for processes."""
    path = tmp_path_factory.mktemp("own") / "own"
    rng = np.random.default_rng(0)
    for label in range(1, 41):
        folder = path / f"class {label:02}"
        folder.mkdir(parents=True)
        for i in range(8 * label):
            pixels = rng.integers(0, 256, (8, 8), np.uint8)
            Image.fromarray(pixels).save(folder / f"{i}.png")
    return path


def test_prepare_and_report(own, tmp_path):
    args = (f"--dataset=folder:{own}", f"--data_dir={tmp_path / 'data'}")
    said = run_command("prepare", *args, "--image_size=8", f"--report={tmp_path}")
    assert "6,560 images of 40 classes, 8 to 320 each" in said
    counts = json.loads((tmp_path / "counts.json").read_text())
    assert counts["images_per_class"]["median"] == 164
    assert counts["counts"]["class 40"] == 320
    assert counts["figure1_largest"] == "class 40"
    # A sheet of 40 classes in rows of 12, and one of the first 120 of the largest.
    figure = np.asarray(Image.open(tmp_path / "figure1.png"))
    assert figure.shape == (10 * 10, 2 * 12 * 10 + 16, 3)
    assert Image.open(tmp_path / "figure2.png").size == (640, 400)
    again = run_command("prepare", *args, "--image_size=8")
    assert "building" not in again and "6,560 images of 40 classes" in again


def left_of(folder):
    """What lies about that belongs to no finished data set or bank."""
    # os.walk ignores what vanishes meanwhile; rglob would raise.
    return [
        os.path.join(place, name)
        for place, folders, files in os.walk(folder)
        for name in (*folders, *files)
        if name.startswith(("incomplete.", ".bank-"))
    ]


def test_prepare_can_be_killed_at_any_moment(own, tmp_path):
    args = ("prepare", f"--dataset=folder:{own}", f"--data_dir={tmp_path}")
    args += ("--image_size=8",)
    summary = "6,560 images of 40 classes"
    reference = run_command(*args[:2], f"--data_dir={tmp_path / 'whole'}", args[3])
    found = set()
    for kill, delay in enumerate((0.0, 0.1, 0.4, 0.8, 1.5, 3.0)):
        process = start_command(*args, start_new_session=True)
        # From the moment the first unfinished file shows: the start takes most of the
        # time, and how much differs from machine to machine.
        while process.poll() is None and found.issuperset(left_of(tmp_path / "folder")):
            time.sleep(0.01)
        time.sleep(delay)
        # SIGINT as a terminal sends it: to all processes.
        if kill % 2:
            with contextlib.suppress(ProcessLookupError):  # it has ended
                os.killpg(process.pid, signal.SIGINT)
            out, errors = process.communicate()
            # The command may have ended before the signal came.
            assert summary in out or errors.endswith("error: stopped\n")
            assert "Traceback" not in errors
        else:
            process.kill()
            process.communicate()
        wait_for_the_end(process.pid)
        found.update(left_of(tmp_path / "folder"))
        for done in tmp_path.glob("folder/*/1.0.0"):  # the next shall have work again
            shutil.rmtree(done)
    assert found  # else no kill came while something was being written
    said = run_command(*args)
    assert not left_of(tmp_path)
    assert summary in said and summary in reference
    name = f"folder:{own}"
    bank, same = (banks.load(name, 8, 1, tmp_path / d) for d in ("", "whole"))
    np.testing.assert_array_equal(bank.images, same.images)
    assert bank.version == same.version


def test_in_a_terminal_the_error_takes_the_place_of_the_progress_bar(own, tmp_path):
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, 80))  # else there is no room for the bar
    args = ("prepare", f"--dataset=folder:{own}", f"--data_dir={tmp_path}")
    process = start_command(*args, "--image_size=8", stderr=theirs)
    os.close(theirs)
    shown = b""
    while b"Checking images" not in shown:
        shown += os.read(ours, 1024)
    process.send_signal(signal.SIGINT)
    with contextlib.suppress(OSError):  # Linux's way to tell the end of a terminal
        while more := os.read(ours, 1024):
            shown += more
    assert process.wait(timeout=60) == 130
    assert shown.endswith(b"\r\x1b[Kerror: stopped\r\n")


def test_a_process_ends_quietly_where_the_other_ended_amid_a_message():
    ours, theirs = multiprocessing.Pipe()
    os.write(ours.fileno(), struct.pack("!i", 100) + b"some")  # as a pipe sends it
    ours.close()
    parallel._serve(theirs)


def wait_for_the_end(group):
    """Fails if processes of a group outlive the one that was killed."""
    for _ in range(100):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    pytest.fail("processes were left")


UNGUARDED = """
from figr_jax.data import bank, parallel
parallel._count_cores = lambda: 2  # one core alone starts no processes
bank.load("folder:{}", 8, 1, "{}")
"""


def test_a_script_without_a_guard_is_told_so(own, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(UNGUARDED.format(own, tmp_path / "data"))
    command = [sys.executable, script]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, timeout=60
    )
    assert done.returncode and "may lack `if __name__ == '__main__':`" in done.stderr


def test_two_at_once_prepare_one(own, tmp_path):
    args = ("prepare", f"--dataset=folder:{own}", f"--data_dir={tmp_path}")
    both = [start_command(*args, "--image_size=8") for _ in range(2)]
    said = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert sum("another process prepares it" in out for out, _ in said) >= 1
    assert sum("preparing folder/" in out for out, _ in said) == 1
    assert not left_of(tmp_path)
