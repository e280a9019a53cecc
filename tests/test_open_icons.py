"""Tests of the OpenIcons data set, on packages of a few made-up icon sets."""

import csv
import io
import json
import sys
import tarfile
import types
import zipfile

import numpy as np
import pytest

from figr_jax.common.errors import BadInput
from figr_jax.data import images
from figr_jax.data.builders.open_icons import concepts, drawings, icons, packages
from figr_jax.data.builders.open_icons.open_icons import OpenIcons

pytest.importorskip("resvg_py", reason="needs the extra [icons]")


def square(number, size=6):
    """Returns an icon that looks like no other of another number or size."""
    x, y = 2 * (number % 8), 2 * (number // 8)
    body = f'<path fill="currentColor" d="M{x} {y}h{size}v{size}h-{size}z"/>'
    return {"body": body}


def icon_set(prefix, shown, licence="MIT", author=None, palette=False, **more):
    """Returns the content of a set; `shown` is a dict of a name to an icon."""
    return {
        "prefix": prefix,
        "info": {
            "name": f"Set {prefix}",
            "author": {"name": author or f"Author of {prefix}", "url": "http://a"},
            "license": {"title": f"The {licence}", "spdx": licence},
            "palette": palette,
            **({"hidden": True} if more.pop("hidden", False) else {}),
        },
        "icons": shown,
        "width": 24,
        "height": 24,
        **more,
    }


def pack(path, members):
    """Writes a .tgz of a dict of a member's name to its bytes."""
    with tarfile.open(path, "w:gz") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def members(sets, root="package"):
    names = [f"{root}/json/{content['prefix']}.json" for content in sets]
    return dict(zip(names, (json.dumps(s).encode() for s in sets), strict=True))


def prepare(folder, sets, config=None):
    """Returns the builder of a data set that was prepared from `sets`."""
    folder.mkdir(exist_ok=True)
    extra = {"package/package.json": b"{}", "package/lib/json.txt": b"no set"}
    pack(folder / "iconify-json-1.0.0.tgz", members(sets) | extra)
    builder = OpenIcons(data_dir=folder / "data", config=config)
    builder.manual_dir = folder
    builder.download_and_prepare()
    return builder


def read(builder):
    """Returns a dict of an image's id to its class and pixels."""
    names = builder.info.features["label"].names
    return {
        record["id"].decode(): (names[record["label"]], record["image"][..., 0])
        for record in builder.as_data_source("train")
    }


@pytest.fixture
def pairs(monkeypatch):
    """Lets two images be enough for a class."""
    monkeypatch.setattr(OpenIcons, "MIN_IMAGES", 2)


def two_classes(**more):
    """Returns two sets with two classes of two images."""
    return [
        icon_set("one", {"cat": square(0), "dog": square(1)}, **more),
        icon_set("two", {"cat": square(2), "dog": square(3)}, **more),
    ]


def test_classes_are_concepts_and_images_black_on_white(tmp_path, pairs):
    builder = prepare(tmp_path, two_classes())
    examples = read(builder)
    assert {name: example[0] for name, example in examples.items()} == {
        "one/cat": "cat",
        "two/cat": "cat",
        "one/dog": "dog",
        "two/dog": "dog",
    }
    pixels = examples["one/cat"][1]
    assert pixels.shape == (64, 64)
    assert (pixels[:15, :15] == 0).all() and (pixels[17:] == 255).all()
    assert str(builder.data_path).endswith("open_icons/permissive/1.0.0")


def test_the_same_package_is_the_same_data_set(tmp_path, pairs):
    sets = two_classes()
    first, second = (
        prepare(tmp_path / name, ordered)
        for name, ordered in (("a", sets), ("b", sets[::-1]))
    )
    assert first.info.metadata["content"] == second.info.metadata["content"]
    assert list(read(first)) == list(read(second))


def test_a_class_has_8_images_and_no_author_gives_more_than_4(tmp_path):
    sets = [
        icon_set(
            prefix,
            {f"{name}-{word}": square(first + i) for name, first in starts.items()
             for i, word in enumerate(["fill", "outline", "12", "16", "20", "24"])},
            author=author,
        )
        for prefix, author, starts in [
            ("a", "A", {"cat": 0, "dog": 6, "owl": 12}),
            ("b", "B", {"cat": 18, "dog": 24}),
            ("c", "A", {"owl": 30}),
        ]
    ]  # fmt: skip
    examples = read(prepare(tmp_path, sets))
    found = [(shown, name.split("/")[0]) for name, (shown, _) in examples.items()]
    # The two sets of A count as one, so that there are but 4 owls.
    assert sorted(found) == [
        (shown, name) for shown in ("cat", "dog") for name in "ab" for _ in range(4)
    ]


def test_licences_are_filtered_and_all_are_taken_on_demand(tmp_path, pairs):
    sets = two_classes() + [
        icon_set(f"licensed{i}", {"cat": square(10 + i)}, licence=licence)
        for i, licence in enumerate(["CC0-1.0", "ISC", "Apache-2.0", "CC-BY-4.0"])
    ]
    sets[-1]["info"]["license"].pop("url", None)
    assert {name for name in read(prepare(tmp_path, sets)) if "licensed" in name} == {
        f"licensed{i}/cat" for i in range(3)
    }
    builder = prepare(tmp_path, sets, "all")
    assert "licensed3/cat" in read(builder)
    assert str(builder.data_path).endswith("open_icons/all/1.0.0")


def test_colour_hidden_and_moving_icons_are_skipped(tmp_path, pairs):
    moving = {"body": square(20)["body"].replace("/>", '><animate attributeName="x"/>')}
    sets = two_classes() + [
        icon_set("colour", {"cat": square(10)}, palette=True),
        icon_set("past", {"cat": square(11)}, hidden=True),
        icon_set("some", {"cat": square(12) | {"hidden": True}, "dog": moving}),
    ]
    assert len(read(prepare(tmp_path, sets))) == 4


def emoji(number, colour="#c00"):
    """Returns an emoji that looks like no other of another number or colour."""
    return {"body": square(number)["body"].replace("currentColor", colour)}


def emoji_sets():
    """Returns the sets of two classes with six images each: a cat and a red apple."""
    named = {"cat": 0, "red-apple": 1}
    sets = [
        icon_set(
            prefix,
            {name: emoji(10 * i + shift) for name, shift in named.items()},
            licence,
            palette=True,
            hidden=prefix == "fluent-emoji",
        )
        for i, (prefix, licence) in enumerate(
            [
                *(("noto", "Apache-2.0"), ("noto-v1", "Apache-2.0")),
                *(("fluent-emoji", "MIT"), ("emojione", "CC-BY-4.0")),
            ]
        )
    ]
    spelled = {"cat": emoji(40), "redapple": emoji(41)}
    numbered = {"cat": emoji(50), "red-apple-1": emoji(51)}
    return [
        *sets,
        icon_set("fxemoji", spelled, "Apache-2.0", palette=True),
        icon_set("streamline-emojis", numbered, "CC-BY-4.0", palette=True),
    ]


def test_emoji_are_in_colour_by_unicode_name(tmp_path):
    builder = prepare(tmp_path, emoji_sets(), "colour")
    names = builder.info.features["label"].names
    records = list(builder.as_data_source("train"))
    assert names == ["cat", "red apple"] and len(records) == 12
    for record in records:
        assert record["image"].shape == (64, 64, 3)
        colours = {tuple(x) for x in record["image"].reshape(-1, 3).tolist()}
        assert {(204, 0, 0), (255, 255, 255)} <= colours
    shown = {record["id"].decode(): names[record["label"]] for record in records}
    assert shown["fxemoji/redapple"] == shown["noto/red-apple"] == "red apple"
    assert "fluent-emoji/cat" in shown  # although the set is hidden
    licence = builder.info.redistribution_info.license
    assert "streamline-emojis (Streamline, CC BY 4.0)" in licence


def test_emoji_that_differ_in_colour_alone_are_no_duplicates(tmp_path):
    sets = emoji_sets()
    sets[0]["icons"]["cat"] = emoji(10, "#006800")  # as noto-v1/cat, equally dark
    assert len(read_ids(prepare(tmp_path, sets, "colour"))) == 12


def test_the_version_of_emoji_covers_their_colours(tmp_path):
    editions = set()
    for colour in ("#c00", "#006800"):  # equally dark
        sets = emoji_sets()
        sets[0]["icons"]["cat"] = emoji(60, colour)
        editions.add(prepare(tmp_path / colour[1:], sets, "colour").edition)
    assert len(editions) == 2


def test_skin_tones_and_order_are_told_apart(tmp_path):
    sets = emoji_sets()
    for i, content in enumerate(sets):
        for j, name in enumerate(["left-arrow-up", "up-arrow-left"]):
            content["icons"][name] = emoji(60 + 2 * i + j, "#00c")
    toned = ["cat-light", "cat-medium-dark", "man-dark-skin-tone"]
    sets[2]["icons"] |= {name: emoji(90 + i) for i, name in enumerate(toned)}
    sets[2]["icons"]["cat-light-bulb"] = emoji(94)
    builder = prepare(tmp_path, sets, "colour")
    names = builder.info.features["label"].names
    assert names == ["cat", "left arrow up", "red apple", "up arrow left"]
    assert len(read_ids(builder)) == 24


def test_share_alike_emoji_are_taken_on_demand_alone(tmp_path):
    more = {"cat": emoji(70), "red-apple": emoji(71)}
    sets = [*emoji_sets(), icon_set("openmoji", more, "CC-BY-SA-4.0", palette=True)]
    sets.append(icon_set("logos", more, palette=True))
    assert len(read_ids(prepare(tmp_path, sets, "colour"))) == 12
    builder = prepare(tmp_path, sets, "colour_all")
    assert len(read_ids(builder)) == 14
    assert "openmoji (OpenMoji, CC BY-SA 4.0)" in (
        builder.info.redistribution_info.license
    )


def read_ids(builder):
    return {record["id"].decode() for record in builder.as_data_source("train")}


def test_duplicates_stay_once_in_the_largest_class(tmp_path, pairs):
    again = {"body": square(0)["body"].replace(" d=", "\n  d=")}
    looks = {"body": square(1)["body"].replace("h-6z", "h-6v-1z")}
    sets = two_classes() + [
        icon_set("more", {"cat": square(0), "ape": again, "dog": looks}),
        icon_set("most", {"ape": square(20), "dog": square(21), "cat": square(22)}),
        icon_set("last", {"ape": square(23)}),
    ]
    builder = prepare(tmp_path, sets)
    assert {
        name: example[0]
        for name, example in read(builder).items()
        if name.split("/")[0] in ("one", "more", "last")
    } == {"last/ape": "ape", "more/cat": "cat", "more/dog": "dog"}
    skipped = (builder.data_path / "skipped.txt").read_text()
    assert skipped == "one/dog: looks like more/dog\n"


def test_what_is_blank_is_skipped_and_not_credited(tmp_path, pairs, monkeypatch):
    monkeypatch.setattr("figr_jax.data.builders.base.MAX_SKIPPED", 0.5)
    blank = {"body": '<path fill="none" d="M0 0h9v9z"/>'}
    sets = [*two_classes(), icon_set("three", {"cat": blank, "dog": square(9)})]
    builder = prepare(tmp_path, sets)
    assert "three/cat" not in read(builder)
    assert (builder.data_path / "skipped.txt").read_text() == "three/cat: blank\n"
    with open(builder.data_path / "attribution.tsv", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert {row["set"]: row["icons"] for row in rows} == {
        "one": "2",
        "two": "2",
        "three": "1",
    }
    assert list(rows[0].values()) == (
        "one|Set one|Author of one|http://a|The MIT|MIT||2".split("|")
    )


def test_drawings_are_in_the_middle_of_a_square():
    body = '<path fill="currentColor" d="M-2 3h24v8h-24z"/>'
    svg = drawings.wrap(body, left=-2, top=3, width=24, height=8)
    pixels = images.decode(io.BytesIO(drawings.draw(svg)), channels=1)[..., 0]
    rows = np.flatnonzero((pixels < 128).all(axis=1))
    assert (rows.min(), rows.max()) == (21, 42)
    with pytest.raises(ValueError):
        drawings.draw("<svg")


@pytest.mark.parametrize(
    ("name", "concept", "style"),
    [
        ("home", "home", ""),
        ("home-outline-24", "home", "outline"),
        ("home-20-filled", "home", "filled"),
        ("Arrow-left-02", "arrow left", ""),
        ("dice-2", "dice 2", ""),
        ("user-fill-add", "user add", "fill"),
        ("user-add", "user add", ""),
        ("camera-two-tone", "camera", "twotone"),
        ("cloud-light", "cloud", "light"),
        ("cloud-bold", "cloud", "bold"),
        ("traffic-light", "traffic light", ""),
        ("traffic-light-fill", "traffic light", "fill"),
        ("format-bold", "format bold", ""),
        ("baseline-alarm", "alarm", "baseline"),
        ("alarm-broken", "alarm", "broken"),
        ("outline-16", None, None),
    ],
)
def test_concepts_are_names_less_style_and_size(name, concept, style):
    names = ["cloud-light", "cloud-bold", "traffic-light", "format-italic", name]
    found = concepts.split(names, ["baseline"], ["broken", "broken-fill"])
    expected = (tuple(concept.split()), tuple(style.split())) if concept else None
    assert found.get(name) == expected


def icon(name, author="A", style=(), packed=None):
    words = tuple(name.split("/")[1].split("-"))
    return icons.Icon(name, author, words, style, packed or name.encode())


def test_the_order_of_words_makes_no_class():
    found = [icon("a/arrow-left"), icon("b/left-arrow"), icon("c/arrow-left")]
    groups = icons.group(found)
    assert {name: len(group) for name, group in groups.items()} == {"arrow left": 3}


def test_many_styles_are_chosen():
    styles = ("thin", "bold", "fill")
    found = [
        icon(f"a/x-{style}-{i}", style=(style,)) for style in styles for i in range(9)
    ]
    chosen = icons.choose(found, 4)
    assert len(chosen) == 4 and len({icon.style for icon in chosen}) == 3
    assert icons.choose(found[::-1], 4) == chosen


def test_archives_of_the_repository_do_too(tmp_path):
    sets = two_classes()
    path = tmp_path / "icon-sets-1.2.0.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members(sets, "icon-sets-1.2.0").items():
            archive.writestr(name, data)
    assert list(packages.read_sets(path)) == sets


def test_the_newest_package_is_found(tmp_path):
    for name in ("iconify-json-2.2.99.tgz", "icon-sets-2.2.100.tar.gz", "x-9.9.9.tgz"):
        (tmp_path / name).touch()
    assert packages.find(tmp_path, None).name == "icon-sets-2.2.100.tar.gz"


@pytest.mark.parametrize("name", ["../evil.json", "/tmp/evil.json", "a/../../b"])
def test_members_that_leave_the_folder_are_refused(tmp_path, name):
    path = pack(tmp_path / "a.tgz", members(two_classes()) | {name: b"{}"})
    with pytest.raises(BadInput, match="would be outside of the folder"):
        list(packages.read_sets(path))


@pytest.mark.parametrize("share", [0.02, 0.5, 0.98, 0.9999])
def test_packages_that_are_cut_off_are_refused(tmp_path, share):
    noise = {"package/noise": np.random.default_rng(0).bytes(50_000)}
    path = pack(tmp_path / "a.tgz", noise | members(two_classes()))
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(BadInput, match="not a valid .tgz or zip archive"):
        list(packages.read_sets(path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "no icon sets"),
        ({"package/json/a.json": b"{"}, "a.json is not JSON"),
        ({"package/json/a.json": b"[]"}, "is not an icon set"),
    ],
)
def test_other_archives_are_refused(tmp_path, content, message):
    path = pack(tmp_path / "a.tgz", content)
    with pytest.raises(BadInput, match=message):
        list(packages.read_sets(path))


def test_malformed_sets_are_named(tmp_path):
    with pytest.raises(BadInput, match="set 'bad' is not in Iconify's format"):
        prepare(tmp_path, [icon_set("bad", {"cat": {"width": 3}})])


def test_a_missing_package_is_told_with_what_to_do(tmp_path, monkeypatch):
    builder = OpenIcons(data_dir=tmp_path / "data")
    builder.manual_dir = tmp_path
    with pytest.raises(BadInput, match="run `npm pack @iconify/json` there"):
        builder.download_and_prepare()

    def fail(url):
        raise OSError("no network")

    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(BadInput, match="no network.*npm pack @iconify/json"):
        packages.find(None, types.SimpleNamespace(download=fail))


def test_npm_downloads_once_and_its_failure_is_no_end(tmp_path, monkeypatch):
    calls = []

    def run(command, cwd, **kwargs):
        calls.append(command)
        if len(calls) > 1:
            pack(f"{cwd}/iconify-json-{packages.VERSION}.tgz", {})
        return types.SimpleNamespace(returncode=len(calls) == 1, stderr="npm ERR!")

    monkeypatch.setattr("shutil.which", lambda name: name)
    monkeypatch.setattr("subprocess.run", run)
    manager = types.SimpleNamespace(download_dir=tmp_path, download=lambda url: "other")
    assert packages.find(None, manager).name == "other"
    found = [packages.find(None, manager) for _ in range(2)]
    assert found == [tmp_path / f"iconify-json-{packages.VERSION}.tgz"] * 2
    assert len(calls) == 2


def test_a_missing_renderer_is_told_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    monkeypatch.setattr(packages, "find", None)
    with pytest.raises(BadInput, match=r"needs `pip install -e '\.\[icons\]'`"):
        OpenIcons(data_dir=tmp_path)._collect(None)
