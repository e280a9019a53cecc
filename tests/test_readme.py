"""Links of the pages, and the commands, flags and tests that they name."""

import re

import pytest
from conftest import ROOT

from figr_jax import config

DOCS = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/*.md"))
WRITTEN = ["README.md", "CONTRIBUTING.md", *DOCS]
COMMAND = re.compile(r"python (?:-m (figr_jax[.\w]*)|(experiments/[/\w]+\.py))(.*)")


def read(page):
    return (ROOT / page).read_text().replace("\\\n", " ")


def find_script(module, script):
    """The source of a command."""
    if script:
        return ROOT / script
    path = ROOT / module.replace(".", "/")
    return path / "__main__.py" if path.is_dir() else path.with_suffix(".py")


def find_flags(path):
    """Names of the flags that a script defines."""
    return set(re.findall(r'(?i:define)_\w+\(\s*"(\w+)"', path.read_text()))


@pytest.mark.parametrize("page", [*WRITTEN, "experiments/results/README.md"])
def test_every_link_leads_to_a_file(page):
    path = ROOT / page
    links = re.findall(r"\]\(([^)#\s]+)", path.read_text())
    ours = [link for link in links if "://" not in link]
    assert ours
    assert [link for link in ours if not (path.parent / link).exists()] == []


@pytest.mark.parametrize("page", WRITTEN)
def test_every_link_to_a_heading_leads_to_one(page):
    for link, anchor in re.findall(r"\]\(([^):#\s]*)#([^)\s]+)", read(page)):
        target = (ROOT / page).parent / link if link else ROOT / page
        heads = re.findall(r"^#+ (.*)$", target.read_text(), re.M)
        anchors = [re.sub(r"[^\w -]", "", x).lower().replace(" ", "-") for x in heads]
        assert anchor in anchors, f"{link}#{anchor}"


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) < 180


@pytest.mark.parametrize("page", WRITTEN)
def test_every_command_exists_and_takes_its_flags(page):
    for module, script, rest in COMMAND.findall(read(page)):
        path, arguments = find_script(module, script), rest.partition("`")[0]
        assert path.is_file(), path
        flags = set(re.findall(r"--(\w+)", arguments))
        # A trial of a sweep passes its overrides on, after a lone `--`.
        known = find_flags(path) | ({"config"} if " -- " in arguments else set())
        # A script may import another one from its folder, with its flags.
        for name in re.findall(r"^import (\w+)$", path.read_text(), re.M):
            if (path.parent / f"{name}.py").is_file():
                known |= find_flags(path.parent / f"{name}.py")
        assert flags <= known, f"{path}: {flags - known}"
        for file in re.findall(r"--config=(\S+)", arguments):
            assert (ROOT / file).is_file(), file


@pytest.mark.parametrize("page", WRITTEN)
def test_every_flag_and_field_in_the_text_exists(page):
    text = read(page)
    scripts = [*ROOT.glob("figr_jax/**/*.py"), *ROOT.glob("experiments/**/*.py")]
    known = set().union(*map(find_flags, scripts))
    known |= {f"no{name}" for name in known}
    assert set(re.findall(r"`--(\w+)", text)) <= known
    schema = {f"{section}.{name}" for section, x in config.SCHEMA.items() for name in x}
    assert set(re.findall(r"--config\.([a-z]\w*\.\w+)", text)) <= schema


@pytest.mark.parametrize("page", WRITTEN)
def test_every_test_that_is_named_exists(page):
    tests = "".join(path.read_text() for path in ROOT.glob("tests/*.py"))
    named = re.findall(r"::(test_\w+)", read(page))
    assert [name for name in named if f"def {name}(" not in tests] == []
