"""A few-shot data set of characters: one class a character, one image a font face.

The fonts are those that come with matplotlib, so nothing is downloaded. Drawing all
faces of all characters takes about half a minute.
"""

import io
import pathlib
import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import matplotlib
import numpy as np
import tensorflow_datasets as tfds
import tqdm
from matplotlib import ft2font
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

SIZE = 64  # pixels a side
INK = 52  # pixels of the longer side of a character's ink box
MIN_IMAGES = 8  # a class
BLANK = np.full((SIZE, SIZE), 255, np.uint8)

FACES = (
    *(f"DejaVuSans{style}" for style in ("", "-Bold", "-Oblique", "-BoldOblique")),
    *(f"DejaVuSansMono{style}" for style in ("", "-Bold", "-Oblique", "-BoldOblique")),
    *(f"DejaVuSerif{style}" for style in ("", "-Bold", "-Italic", "-BoldItalic")),
    *(f"STIXGeneral{style}" for style in ("", "Bol", "Italic", "BolIta")),
)

_FONT_PIXELS = 256  # an em; drawn large and shrunk, so that no hinting shows

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
    characters: frozenset[str]  # that it claims to have
    missing: np.ndarray | None  # shape=(SIZE, SIZE), what it shows for any other


def load_face(name: str) -> Face:
    """Loads the face that matplotlib carries under `name`."""
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
    """Draws a character in the middle of a white square.

    Args:
      character: one character.
      face: the face to draw it in.

    Returns:
      The picture, `(SIZE, SIZE)` uint8, black on white, or None where the face lacks
      the character, or shows nothing or its missing-glyph box for it.
    """
    if character not in face.characters:
        return None
    picture = _draw(character, face.font)
    return None if np.array_equal(picture, face.missing) else picture


def _draw(character: str, font: ImageFont.FreeTypeFont) -> np.ndarray | None:
    """Draws what the font shows for a character; None where that has no ink."""
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
    """Returns where pictures are black when shrunk to half their size.

    Args:
      pictures: `(..., SIZE, SIZE)` uint8.

    Returns:
      `(..., 32, 32)` bool.
    """
    half = SIZE // 2
    blocks = pictures.reshape(*pictures.shape[:-2], half, 2, half, 2)
    return blocks.mean((-3, -1)) < 128


def look_same(ink: np.ndarray) -> np.ndarray:
    """Tells which shapes are the same up to a pixel, hence also to a bolder stroke.

    Two are if no ink of either is more than a pixel away from ink of the other.

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
    """Tells which characters look the same in more than half of the faces they share.

    All of the shared faces would be too much to ask: the Latin o and the Greek omicron
    are one drawing in every DejaVu face, but not quite in STIX.

    Args:
      ink: `(characters, faces, 32, 32)` bool.
      has: `(characters, faces)` bool, which faces have a picture.

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
    """Draws the whole data set.

    Returns:
      For each character that is a class, in the order of code points, its pictures,
      `(SIZE, SIZE)` uint8, by the names of their faces.
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


def _encode_png(picture: np.ndarray) -> bytes:
    """Returns a picture, `(height, width)` uint8, as a grey PNG file."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


class Glyphs(tfds.core.GeneratorBasedBuilder):
    """Builder of the data set, sorted by class, in array_record files.

    The names of the classes are known once the characters are drawn: they are set
    while preparing, and read from the folder ever after.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}

    def __init__(self, *, file_format: str = "array_record", **kwargs):
        """Sets a file format that, unlike the usual one, needs no TensorFlow."""
        super().__init__(file_format=file_format, **kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=_DESCRIPTION,
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(
                        shape=(SIZE, SIZE, 1), encoding_format="png"
                    ),
                    "label": tfds.features.ClassLabel(),
                    "face": tfds.features.Text(),
                }
            ),
            supervised_keys=("image", "label"),
            disable_shuffling=True,
            citation=_CITATION,
            license=_LICENSE,
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict:
        del dl_manager  # Nothing to download.
        classes = draw_classes()
        self.info.features["label"].names = [unicodedata.name(c) for c in classes]
        # TFDS keeps the name "all" for itself: the union of a data set's splits.
        return {"train": self._generate_examples(classes)}

    def _generate_examples(
        self, classes: dict[str, dict[str, np.ndarray]]
    ) -> Iterator[tuple[str, dict]]:
        for label, (character, pictures) in enumerate(classes.items()):
            for face, picture in pictures.items():
                image = _encode_png(picture)
                example = {"image": image, "label": label, "face": face}
                yield f"U+{ord(character):04X} {face}", example
