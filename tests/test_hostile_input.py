"""Whatever lies on a disk ends in success or in one clear line.

Nothing else: no traceback, no hang, no memory without bound, nothing half-written.
"""

import io
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from conftest import encode, quick, start_command, write_folder
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from figr_jax import build, checkpoints, config, training
from figr_jax.common.errors import BadInput, FailedWork
from figr_jax.data import bank as banks
from figr_jax.data import images
from figr_jax.data.builders import base

MEMORY = 2 * 2**30  # bytes that reading one image may take, with Python and libraries
SECONDS = 10


def sketch(mode, size=(40, 30)):
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (*size[::-1], 3), np.uint8))
    if mode == "I;16":
        pixels = rng.integers(0, 2**16, size[::-1])
        return Image.fromarray(pixels.astype(np.uint16))
    return image.convert(mode)


def rotated():
    exif = Image.Exif()
    exif[0x0112] = 6
    return encode(sketch("RGB"), "JPEG", exif=exif)


def sound():
    """Images of every kind that is read: name to bytes."""
    frames = [sketch("P", (10, 10 + i)).resize((10, 10)) for i in range(3)]
    animated = {"save_all": True, "append_images": frames[1:]}
    modes = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
    return {
        **{f"{mode}.png".replace(";", ""): encode(sketch(mode)) for mode in modes},
        "palette with transparency.png": encode(sketch("P"), transparency=3),
        "grey.jpg": encode(sketch("L"), "JPEG"),
        "colour.jpeg": encode(sketch("RGB"), "JPEG"),
        "cmyk.jpg": encode(sketch("CMYK"), "JPEG"),
        "rotated.jpg": rotated(),
        "colour.webp": encode(sketch("RGB"), "WEBP"),
        "transparent.webp": encode(sketch("RGBA"), "WEBP"),
        "still.gif": encode(sketch("P"), "GIF"),
        "animated.gif": encode(frames[0], "GIF", **animated),
        "animated.webp": encode(frames[0].convert("RGB"), "WEBP", **animated),
        "animated.png": encode(frames[0].convert("RGB"), "PNG", **animated),
    }


SOUND = sound()


def big_png(width, height):
    """A black PNG of any size, made without its pixels in memory."""

    def chunk(kind, data):
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    packer = zlib.compressobj(1)
    row = bytes(width + 1)
    data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", data), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def write_corpus(folder):
    """More than 300 files, most of them broken; returns their paths."""
    good, rng = SOUND, random.Random(0)
    files = dict(good)
    for name, data in good.items():
        for i in range(8):
            files[f"cut {i} {name}"] = data[: len(data) * i // 8]
        for i in range(8):
            altered = bytearray(data)
            for _ in range(1 + i):
                altered[rng.randrange(len(data))] = rng.randrange(256)
            files[f"altered {i} {name}"] = bytes(altered)
        files[f"header of {name}"] = data[:20] + rng.randbytes(200)
    # An icon decodes what is in it while it is opened.
    inside = big_png(20_000, 20_000)
    icon = struct.pack("<HHH4BHHII", 0, 1, 1, 0, 0, 0, 0, 1, 8, len(inside), 22)
    claims_much = bytearray(big_png(1, 1))
    claims_much[16:24] = struct.pack(">II", 60_000, 60_000)
    claims_much[29:33] = struct.pack(">I", zlib.crc32(claims_much[12:29]))
    files |= {
        "empty.png": b"",
        "text.png": b"no image at all",
        "html.jpg": b"<!doctype html><title>404</title>",
        "zeros.png": bytes(10_000),
        "1x1.png": encode(sketch("L", (1, 1))),
        "20000x1.png": big_png(20_000, 1),
        "1x20000.png": big_png(1, 20_000),
        "8192x8192.png": big_png(8192, 8192),
        "8193x8193.png": big_png(8193, 8193),
        "70000x1.png": big_png(70_000, 1),
        "claims 60000x60000.png": bytes(claims_much),
        "tiff inside.png": encode(sketch("L"), "TIFF"),
        "bmp inside.png": encode(sketch("L"), "BMP"),
        "icon inside.png": encode(sketch("RGB", (16, 16)), "ICO"),
        "bomb in an icon.png": icon + inside,
        "new\nline.png": b"broken",
        "tab\tand\rreturn.png": good["L.png"],
        "not utf-8 \udcff.png": good["L.png"],
        "ü" * 125 + ".png": b"broken",
        "x" * 251 + ".png": good["L.png"],
        "$(touch gone).png": b"broken",
        "-rf.png": good["L.png"],
        "%s%n{0}{workdir}.png": b"broken",
    }
    write_folder(folder, files)
    (folder / "broken link.png").symlink_to("nowhere")
    (folder / "itself.png").symlink_to("itself.png")
    (folder / "zero.png").symlink_to("/dev/zero")
    (folder / "folder.png").mkdir()
    os.mkfifo(folder / "pipe.png")
    with open(folder / "sparse.png", "wb") as file:
        file.truncate(2**33)
    paths = sorted(folder.iterdir())
    assert len(paths) > 300
    return paths


# Reads each file that stdin names. The limit of memory holds for all of the process,
# that of time for each file; it counts the process's own time, so that a busy machine
# makes no difference.
READ = """
import json, resource, signal, sys
import numpy as np
from figr_jax.data import images, inputs
from figr_jax.common.errors import BadInput
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]),) * 2)
results = []
for path in json.load(sys.stdin):
    signal.setitimer(signal.ITIMER_PROF, int(sys.argv[2]))
    try:
        shape = np.shape(images.fit(*inputs.read([path], 1)[0], 8))
        results.append([path, shape == (8, 8, 1), ""])
    except BadInput as error:
        results.append([path, False, str(error)])
json.dump(results, sys.stdout)
"""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    return write_corpus(folder)


def test_every_file_is_read_or_named(corpus):
    command = [sys.executable, "-c", READ, str(MEMORY), str(SECONDS)]
    done = subprocess.run(
        command,
        input=json.dumps(list(map(str, corpus))),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr  # no warning of Pillow's either
    results = json.loads(done.stdout)
    assert [path for path, _, _ in results] == list(map(str, corpus))
    read = {os.path.basename(path) for path, good, _ in results if good}
    assert {*SOUND, "20000x1.png", "1x20000.png", "8192x8192.png"} <= read
    refused = {"8193x8193.png", "70000x1.png", "zero.png", "pipe.png", "sparse.png"}
    assert not refused & read
    for path, good, said in results:
        assert good or said.startswith(f"{path}: ")


def complaint(process):
    """The one line of a command that refuses, within the time."""
    out, err = process.communicate(timeout=60)
    assert process.returncode in (1, 2), (out, err)
    assert err.startswith("error: ") and err.count("\n") == 1, err
    return err


def test_sample_names_what_it_cannot_read(corpus, workdir, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    folder = corpus[0].parent
    names = "new\nline.png", "zero.png", "html.jpg", "sparse.png"
    for support in (folder, *(f"{folder}/{name}" for name in names)):
        out = tmp_path / "out"
        args = (f"--checkpoint={workdir}", f"--support={support}", f"--out={out}")
        err = complaint(start_command("sample", *args))
        assert (
            "cannot be read as an image" in err or "neither a file nor a folder" in err
        )
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_of_such_files_is_prepared_without_them(corpus, tmp_path, monkeypatch):
    own = tmp_path / "own"
    shutil.copytree(
        corpus[0].parent,
        own / "odd",
        symlinks=True,
        ignore=lambda _, names: {"pipe.png", "sparse.png", *filter(is_odd, names)},
    )
    os.mkfifo(own / "odd/pipe.png")
    write_folder(own / "good", SOUND)
    name = f"folder:{own}"
    with pytest.raises(BadInput, match="images unreadable, first odd/.*too many"):
        banks.load(name, 8, 1, tmp_path / "data")
    monkeypatch.setattr(base, "MAX_SKIPPED", 1)
    bank = banks.load(name, 8, 1, tmp_path / "data")
    assert len(bank.class_images(bank.names.index("good"))) == len(SOUND)
    assert len(bank.class_images(bank.names.index("odd"))) > len(SOUND)
    assert {p.name for p in tmp_path.iterdir()} == {"own", "data"}


def is_odd(name):
    """Whether a name is not UTF-8: a folder with such a name is refused."""
    return any(0xD800 <= ord(letter) < 0xE000 for letter in name)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(sorted(SOUND)), st.data())
def test_any_bytes_are_an_image_or_unreadable(noise, name, data):
    whole = SOUND[name]
    at = data.draw(st.integers(0, len(whole)))
    file = io.BytesIO(whole[:at] + noise + whole[at + len(noise) :])
    try:
        pixels = images.decode(file, 1)
    except images.Unreadable:
        return
    assert pixels.dtype == np.uint8 and pixels.ndim == 3
    assert images.fit(pixels, 8).shape == (8, 8, 1)


FIELDS = [(s, name) for s, fields in config.SCHEMA.items() for name in fields]
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.sampled_from([0, 1, -1, 2**31 - 1, 2**31, 2**63, 10**30]),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["folder:\0", "folder:", "tfds:../..", "((((" * 99, "b1=1e999"]),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


@settings(max_examples=1500, deadline=None)
@given(st.sampled_from(FIELDS), ODD)
@example(("networks", "width"), 4096)
@example(("outer", "optimizer"), "__init__")
def test_any_value_of_any_field_is_taken_or_refused(field, value):
    section, name = field
    try:
        cfg = config.from_dict({section: {name: value}})
    except BadInput as error:
        assert f"{name}" in str(error) or "config" in str(error)
        return
    build.networks(cfg), build.inner(cfg), build.outer(cfg)


@settings(max_examples=100, deadline=None)
@given(st.recursive(ODD, lambda x: st.dictionaries(st.sampled_from(["run", "a"]), x)))
def test_any_dictionary_is_a_config_or_refused(values):
    try:
        config.from_dict(values)
    except BadInput:
        pass


@pytest.mark.parametrize(
    "name",
    ["folder:\0", f"folder:{'x/' * 5000}", "tfds:../..", "tfds:\0", "mnist/../x"],
)
def test_odd_data_set_names_are_refused(name, tmp_path):
    cfg = quick()
    cfg.dataset.name = name
    with pytest.raises(BadInput):
        training.train(cfg, tmp_path / "run", tmp_path / "data")
    assert not (tmp_path / "run").exists()


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_a_record_that_was_cut_or_altered_is_never_taken(whole, tmp_path, data):
    good = whole[0] / "snapshots/6"
    bad = tmp_path / "bad"
    shutil.rmtree(bad, ignore_errors=True)
    shutil.copytree(good, bad)
    path = bad / "info/metadata"
    text = path.read_bytes()
    begin = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(begin, len(text)))
    path.write_bytes(text[:begin] + data.draw(st.binary(max_size=9)) + text[end:])
    try:
        assert checkpoints.read_info(bad) == checkpoints.read_info(good)
    except (BadInput, FailedWork) as error:
        assert str(bad) in str(error)
