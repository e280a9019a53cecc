"""The choice of icons from the icon sets, and their classes."""

import collections
import zlib
from typing import NamedTuple

from figr_jax.data.builders.open_icons import concepts, drawings, emoji

# Iconify's `ic` has Google's Material icons, but names their packagers as authors.
_DRAWN_BY = {"Material Design Authors": "Google"}


class Icon(NamedTuple):
    """An icon.

    Attributes:
      id: `<set>/<name>`.
      author: author of the set.
      concept: words for what it shows.
      style: the set and the style words: icons of one style differ in size at most.
      packed: its square SVG, zlib-compressed.
    """

    id: str
    author: str
    concept: tuple[str, ...]
    style: tuple[str, ...]
    packed: bytes


def list_icons(content, is_emoji=False):
    """Lists the icons of a set, except hidden and animated ones, which begin blank.

    Args:
      content: the set's JSON.
      is_emoji: whether names are those of Unicode, see `emoji.split`.

    Returns:
      List of `Icon`.

    Raises:
      AttributeError, KeyError, TypeError, ValueError: if the JSON is malformed.
    """
    prefix, author = content["prefix"], content["info"]["author"]["name"]
    shown = {
        name: icon
        for name, icon in content["icons"].items()
        if not icon.get("hidden") and "<animate" not in icon["body"]
    }
    affixes = content.get("prefixes", ()), content.get("suffixes", ())
    names = emoji.split(shown) if is_emoji else concepts.split(shown, *affixes)
    default = {"left": 0, "top": 0, "width": 16, "height": 16}
    default = {key: content.get(key, value) for key, value in default.items()}
    return [
        Icon(
            f"{prefix}/{name}",
            _DRAWN_BY.get(author, author),
            concept,
            (prefix, *style),
            _pack(shown[name], default),
        )
        for name, (concept, style) in names.items()
    ]


def _pack(icon, default):
    box = {key: icon.get(key, value) for key, value in default.items()}
    return zlib.compress(drawings.wrap(icon["body"], **box).encode(), 1)


def group(icons):
    """Groups icons by concept; keeps each drawing once, in the class with most icons.

    Returns:
      Dict of the name of a class to its list of `Icon`.
    """
    classes = collections.defaultdict(list)
    for icon in sorted(icons):
        classes[tuple(sorted(icon.concept))].append(icon)
    seen, result = set(), {}
    for words in sorted(classes, key=lambda words: (-len(classes[words]), words)):
        unseen = {}
        for icon in classes[words]:
            if icon.packed not in seen:
                unseen.setdefault(icon.packed, icon)
        seen.update(unseen)
        if unseen:
            orders = collections.Counter(icon.concept for icon in unseen.values())
            name = min(orders, key=lambda order: (-orders[order], order))
            result[" ".join(name)] = list(unseen.values())
    return result


def choose(icons, most):
    """Chooses at most `most` icons of each author.

    They are in as many styles as possible.
    """
    turns, drawn = collections.Counter(), collections.defaultdict(list)
    # Sorted by hash: by name, every class would show the same few styles of an author.
    for icon in sorted(icons, key=lambda icon: (zlib.crc32(icon.id.encode()), icon.id)):
        drawn[icon.author].append((turns[icon.style], len(drawn[icon.author]), icon))
        turns[icon.style] += 1
    return [icon for theirs in drawn.values() for *_, icon in sorted(theirs)[:most]]
