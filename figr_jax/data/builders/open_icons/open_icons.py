"""Open icons: the icon sets that Iconify collects, by concept; emoji in colour."""

import collections
import dataclasses

import numpy as np
import tensorflow_datasets as tfds

from figr_jax.common import files
from figr_jax.common.errors import BadInput
from figr_jax.data.builders import base
from figr_jax.data.builders.open_icons import drawings, emoji, icons, packages

_CREDIT = "set\tname\tauthor\tauthor_url\tlicence\tspdx\tlicence_url\ticons"


@dataclasses.dataclass(kw_only=True)
class Config(tfds.core.BuilderConfig):
    """Choice of icon sets.

    Attributes:
      licences: SPDX identifiers of the licences to take; None for all.
      colour: colour sets to take, with author and licence; None for all monochrome sets
        that are not hidden.
      min_images: classes with fewer images are dropped; an author has at most half.
    """

    licences: tuple[str, ...] | None = None
    colour: dict[str, str] | None = None
    min_images: int = 8


class OpenIcons(base.ImageClasses, skip_registration=True):
    """Builder of icons by concept, from the npm package `@iconify/json`.

    `open_icons/permissive`, the default, has the sets under the MIT, Apache-2.0, ISC
    and CC0 licences, `open_icons/all` those under any; both are monochrome.
    `open_icons/colour` has the emoji sets under the MIT, Apache-2.0 and CC BY 4.0
    licences, in colour; `open_icons/colour_all` adds those under CC BY-SA 4.0. Hidden
    sets (but for emoji), and hidden or animated icons are left out. `attribution.tsv`,
    next to the data, lists the authors.

    A class is a concept: the words of an icon's name, in any order, without those of
    style and size. Identical drawings are kept once, in the class with the most icons.

    A class has at most 4 images of an author, in as many styles as possible, so that
    its 8 or more images are never one drawing in 8 styles. From version 2.2.535,
    `permissive` has 3,177 classes and 62,088 images. Without that limit it would have
    6,754 classes and 118,489 images, and 2,400 of the classes by a single author.

    A class of emoji is a Unicode name. It has at least 6 images, at most 3 of them of
    an author. Emoji in a skin tone are left out: they repeat the neutral one.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    BUILDER_CONFIGS = [
        Config(
            name="permissive",
            description="Sets under the MIT, Apache-2.0, ISC and CC0 licences.",
            licences=("MIT", "Apache-2.0", "ISC", "CC0-1.0"),
        ),
        Config(name="all", description="Sets under any licence."),
        Config(
            name="colour",
            description="Emoji under the MIT, Apache-2.0 and CC BY 4.0 licences.",
            licences=("MIT", "Apache-2.0", "CC-BY-4.0"),
            colour=emoji.SETS,
            min_images=6,
        ),
        Config(
            name="colour_all",
            description="Emoji, also under the CC BY-SA 4.0 licence.",
            colour=emoji.SETS | emoji.SHARE_ALIKE,
            min_images=6,
        ),
    ]
    IMAGE_SIZE = (drawings.SIZE, drawings.SIZE)

    @property
    def MIN_IMAGES(self):
        """Classes with fewer images are dropped."""
        return self.builder_config.min_images

    @property
    def COLOUR(self):
        """True for the emoji."""
        return self.builder_config.colour is not None

    def _info(self):
        sets = self.builder_config.colour or {}
        authors = "; ".join(f"{prefix} ({by})" for prefix, by in sets.items())
        authors = authors or "see attribution.tsv next to the data"
        return self._make_info(
            description="Icons by concept, 64x64, "
            f"{'in colour' if self.COLOUR else 'black'} on white, from the icon sets "
            f"that Iconify collects. {self.builder_config.description}",
            homepage="https://github.com/iconify/icon-sets",
            license=f"That of each set: {authors}.",
        )

    def _collect(self, dl_manager):
        try:
            import resvg_py  # noqa: F401
        except ImportError as error:
            raise BadInput("open_icons needs `pip install -e '.[icons]'`") from error
        path = packages.find(self.manual_dir, dl_manager)
        listed, self._credits = self._read(path)
        groups = icons.group(listed)
        same = len(listed) - sum(map(len, groups.values()))
        most = self.MIN_IMAGES // 2
        classes = {name: icons.choose(group, most) for name, group in groups.items()}
        rows = [
            (name, icon)
            for name, chosen in classes.items()
            if len(chosen) >= self.MIN_IMAGES
            for icon in chosen
        ]
        print(
            f"{len(listed):,} icons of {len(self._credits):,} sets, {same:,} of them "
            f"duplicates, show {len(groups):,} concepts; "
            f"{len({name for name, _ in rows}):,} have {self.MIN_IMAGES} or more, with "
            f"at most {most} per author",
            flush=True,
        )
        source = drawings.Drawings([icon for _, icon in rows], self.COLOUR)
        return base.group([name for name, _ in rows], source.names, source)

    def _read(self, path):
        """Lists the icons of the chosen sets, and the credits of each set."""
        listed, authors = [], {}
        for content in packages.read_sets(path):
            try:
                if self._takes(content["prefix"], content["info"]):
                    listed += icons.list_icons(content, is_emoji=self.COLOUR)
                    authors[content["prefix"]] = _credit(content["info"])
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                raise BadInput(
                    f"{path}: set {content['prefix']!r} is not in Iconify's format "
                    f"({type(error).__name__}: {error})"
                ) from error
        return emoji.match(listed) if self.COLOUR else listed, authors

    def _takes(self, prefix, info):
        licences, colour = self.builder_config.licences, self.builder_config.colour
        if licences is not None and info["license"].get("spdx") not in licences:
            return False
        if colour is not None:
            return prefix in colour
        return not info.get("palette") and not info.get("hidden")

    def _check(self, collection):
        """Adds duplicates, compared after rendering, to the unreadable images."""
        checksums, skipped = super()._check(collection)
        labels, items, source = collection[1:4]
        bad = {row for row, _ in skipped}
        images, first, same = np.bincount(labels), {}, []
        for row in np.lexsort((np.arange(len(items)), -images[labels])):
            if row in bad:
                continue
            other = first.setdefault(checksums[row], row)
            if other != row and source.read(items[other]) == source.read(items[row]):
                name = source.name(items[row])
                same.append((row, f"{name}: looks like {source.name(items[other])}"))
        if same:
            print(f"{len(same):,} more are duplicates, see skipped.txt")
        return checksums, sorted(skipped + same)

    def _write(self, collection):
        super()._write(collection)
        name = collection.source.name
        used = collections.Counter(name(i).split("/")[0] for i in collection.items)
        lines = [_CREDIT]
        for prefix, count in sorted(used.items()):
            lines.append("\t".join([prefix, *self._credits[prefix], str(count)]))
        files.write_bytes(
            self.data_path / "attribution.tsv", ("\n".join(lines) + "\n").encode()
        )


def _credit(info):
    author, licence = info["author"], info["license"]
    fields = (
        info["name"],
        author["name"],
        author.get("url", ""),
        licence["title"],
        licence.get("spdx", ""),
        licence.get("url", ""),
    )
    return [" ".join(field.split()) for field in fields]
