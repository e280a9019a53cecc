"""A few-shot data set of characters: a class is a character, with an image per face.

The fonts are those that come with matplotlib, so nothing is downloaded. Rendering all
faces of all characters takes about half a minute.
"""

import pathlib
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import matplotlib
import numpy as np
import tensorflow_datasets as tfds
import tqdm
from matplotlib import ft2font
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from figr_jax.data.builders import base, sources

SIZE = 64  # height and width, pixels
INK = 52  # pixels of the longer side of a character's ink box
MIN_IMAGES = 8  # per class
BLANK = np.full((SIZE, SIZE), 255, np.uint8)

FACES = (
    *(f"DejaVuSans{style}" for style in ("", "-Bold", "-Oblique", "-BoldOblique")),
    *(f"DejaVuSansMono{style}" for style in ("", "-Bold", "-Oblique", "-BoldOblique")),
    *(f"DejaVuSerif{style}" for style in ("", "-Bold", "-Italic", "-BoldItalic")),
    *(f"STIXGeneral{style}" for style in ("", "Bol", "Italic", "BolIta")),
)

_FONT_PIXELS = 256  # per em; rendered large and shrunk, so that no hinting shows

_DESCRIPTION = """\
Characters of the Unicode standard in 16 font faces (DejaVu Sans, Sans Mono and Serif,
STIXGeneral; four styles each), black on white. A class is a character, named by its
Unicode name, with at least 8 images that differ. Of characters that look the same, such
as the Latin, Greek and Cyrillic A, only the first is kept.
"""
_LICENSE = """\
DejaVu fonts: the Bitstream Vera and Arev licences, DejaVu's changes in the public
domain. STIX fonts: SIL Open Font License 1.1. Both texts are in matplotlib's font
folder (LICENSE_DEJAVU, LICENSE_STIX).
"""
_CITATION = """\
@misc{dejavu, title={DejaVu fonts}, howpublished={https://dejavu-fonts.github.io}}
@misc{stix, title={STIX fonts}, author={{STI Pub Companies}},
  howpublished={https://www.stixfonts.org}}
"""


class Face(NamedTuple):
    """A font face."""

    name: str
    font: ImageFont.FreeTypeFont
    characters: frozenset[str]  # that the font file claims to have
    missing: np.ndarray | None  # shape=(SIZE, SIZE), shown for any other character


def load_face(name: str) -> Face:
    """Loads the face that ships with matplotlib as `name`."""
    path = pathlib.Path(matplotlib.get_data_path(), "fonts", "ttf", f"{name}.ttf")
    # Pillow's own layout: the other one, Raqm, is not in every build of Pillow.
    font = ImageFont.truetype(path, _FONT_PIXELS, layout_engine=ImageFont.Layout.BASIC)
    characters = frozenset(map(chr, ft2font.FT2Font(path).get_charmap()))
    return Face(name, font, characters, missing=_draw("\uffff", font))


def list_characters(faces: Sequence[Face]) -> list[str]:
    """Returns the named characters that are in enough of the `faces`, in order."""
    candidates = frozenset().union(*(face.characters for face in faces))
    return [
        character
        for character in sorted(candidates)
        if unicodedata.name(character, "")
        and sum(character in face.characters for face in faces) >= MIN_IMAGES
    ]


def render(character: str, face: Face) -> np.ndarray | None:
    """Renders a character in the middle of a white square.

    Args:
      character: one character.
      face: the face to render it in.

    Returns:
      The picture, `(SIZE, SIZE)` uint8, black on white, or None if the face lacks
      the character, or shows nothing or its missing-glyph box for it.
    """
    if character not in face.characters:
        return None
    picture = _draw(character, face.font)
    return None if np.array_equal(picture, face.missing) else picture


def _draw(character: str, font: ImageFont.FreeTypeFont) -> np.ndarray | None:
    """Renders the font's glyph of a character; None if it has no ink."""
    left, top, right, bottom = font.getbbox(character)
    large = Image.new("L", (int(right - left), int(bottom - top)))
    ImageDraw.Draw(large).text((-left, -top), character, fill=255, font=font)
    box = large.getbbox()
    if box is None:
        return None
    large = large.crop(box)
    scale = INK / max(large.size)
    width, height = (max(1, round(scale * side)) for side in large.size)
    ink = large.resize((width, height), Image.Resampling.HAMMING)
    square = Image.new("L", (SIZE, SIZE))
    square.paste(ink, ((SIZE - width) // 2, (SIZE - height) // 2))
    return 255 - np.asarray(square)


def find_ink(pictures: np.ndarray) -> np.ndarray:
    """Shrinks pictures to half their size and returns which pixels are black.

    Args:
      pictures: `(..., SIZE, SIZE)` uint8.

    Returns:
      `(..., 32, 32)` bool.
    """
    half = SIZE // 2
    blocks = pictures.reshape(*pictures.shape[:-2], half, 2, half, 2)
    return blocks.mean((-3, -1)) < 128


def look_same(ink: np.ndarray) -> np.ndarray:
    """Returns which shapes are the same up to one pixel, or up to a bolder stroke.

    Two shapes are the same if no ink of either is more than a pixel away from ink of
    the other.

    Args:
      ink: `(n, 32, 32)` bool.

    Returns:
      `(n, n)` bool, symmetric.
    """
    far = ~ndimage.maximum_filter(ink, size=(1, 3, 3))
    # Counts of pixels: whole numbers, hence exact in float32.
    astray = np.einsum("ahw,bhw->ab", ink, far, dtype=np.float32, optimize=True)
    return (astray == 0) & (astray.T == 0)


def find_homoglyphs(ink: np.ndarray, has: np.ndarray) -> np.ndarray:
    """Returns which characters look the same in over half of the faces they share.

    To require all shared faces would be too strict: the Latin o and the Greek omicron
    are identical in every DejaVu face, but not quite in STIX.

    Args:
      ink: `(characters, faces, 32, 32)` bool.
      has: `(characters, faces)` bool, whether the face has a picture.

    Returns:
      `(characters, characters)` bool, symmetric.
    """
    votes = np.zeros((len(ink), len(ink)), np.int8)
    for face in tqdm.trange(has.shape[1], desc="Comparing characters", unit="face"):
        (having,) = np.nonzero(has[:, face])
        votes[np.ix_(having, having)] += look_same(ink[having, face])
    shared = has.astype(np.int8) @ has.T.astype(np.int8)
    return 2 * votes > shared


def keep_first(same: np.ndarray) -> list[int]:
    """Returns the items that are not the same as one kept before them.

    Args:
      same: `(n, n)` bool, symmetric, which items are the same.
    """
    kept = []
    for item, row in enumerate(same):
        if not row[kept].any():
            kept.append(item)
    return kept


def draw_classes() -> dict[str, dict[str, np.ndarray]]:
    """Renders the whole data set.

    Returns:
      A dict of each character that is a class, in the order of code points, to a dict
      of the name of a face to its picture, `(SIZE, SIZE)` uint8.
    """
    faces = [load_face(name) for name in FACES]
    classes, inks, has = {}, [], []
    for character in tqdm.tqdm(list_characters(faces), desc="Drawing characters"):
        pictures = [render(character, face) for face in faces]
        having = [picture is not None for picture in pictures]
        ink = find_ink(np.stack([BLANK if p is None else p for p in pictures]))
        # Faces share many symbols: only the first face that shows a shape is kept.
        unlike = {ink[f].tobytes(): f for f in np.flatnonzero(having)[::-1]}
        if len(unlike) >= MIN_IMAGES:
            classes[character] = {
                FACES[f]: pictures[f] for f in sorted(unlike.values())
            }
            inks.append(ink)
            has.append(having)
    characters = list(classes)
    first = keep_first(find_homoglyphs(np.stack(inks), np.array(has)))
    return {characters[index]: classes[characters[index]] for index in first}


class Glyphs(base.ImageClasses, skip_registration=True):
    """Builder of the characters, in the order of code points and faces.

    The id of an image is its character and face, as in `U+0041 DejaVuSans`.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    MIN_IMAGES = MIN_IMAGES
    IMAGE_SIZE = (SIZE, SIZE)

    @property
    def edition(self):
        """The version alone: other builds of FreeType may shade a pixel differently."""
        return str(self.version)

    def _info(self):
        return self._make_info(
            description=_DESCRIPTION, citation=_CITATION, license=_LICENSE
        )

    def _collect(self, dl_manager):
        del dl_manager  # Nothing to download.
        classes = draw_classes()
        rows = [
            (label, f"U+{ord(character):04X} {face}", picture)
            for label, (character, pictures) in enumerate(classes.items())
            for face, picture in pictures.items()
        ]
        labels, ids, pictures = zip(*rows, strict=True)
        source = sources.Array(np.stack(pictures), ids)
        names = [unicodedata.name(character) for character in classes]
        return base.Collection(names, np.array(labels), np.arange(len(rows)), source)
