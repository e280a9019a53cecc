"""The concepts of icons, from their names: `home-outline-24` is a home."""

import collections
import re

# Style words, anywhere in a name.
_STYLES = frozenset(
    "outline outlined fill filled solid duotone twotone rounded".split()
)
# Style words at the end of a name, where they may also be what the icon shows, as in
# `traffic-light`: there they are part of the concept, unless the set has another icon
# whose name differs by such words.
_DOUBTFUL = frozenset(
    "bold thin light regular sharp round line linear stroke duo".split()
)
# Sizes, and the numbers `01` to `09` of several drawings of one thing. Other numbers
# stay: `dice-2` is not `dice-3`.
_SIZE = re.compile(r"(1[24568]|2[0248]|3[26]|4[08]|64|96)(px)?|0\d")


def split(names, prefixes=(), suffixes=()):
    """Splits the names of a set's icons into concept and style.

    Args:
      names: names of all icons of the set, like `home-outline-24`.
      prefixes: the set's own style words before names, like `baseline`.
      suffixes: the same after names, like `outline-bold`.

    Returns:
      Dict of a name to two tuples of words: the concept, in lower case, and the style,
      without sizes. Names that are all style are left out.
    """
    own = {word for suffix in suffixes for word in suffix.split("-")} - _DOUBTFUL
    long = {name: _strip(name, prefixes, own) for name in names}
    short = {name: _strip(name, prefixes, own | _DOUBTFUL) for name in names}
    alike = collections.defaultdict(set)
    for name, (concept, _) in short.items():
        alike[concept].add(long[name][0])
    result = {}
    for name in names:
        concept, style = short[name]
        if not concept or len(alike[concept]) == 1:
            concept, style = long[name]
        if concept:
            result[name] = concept, style
    return result


def _strip(name, prefixes, endings):
    words = name.lower().replace("two-tone", "twotone").split("-")
    style = [words.pop(0)] if words[0] in prefixes else []
    style += [word for word in words if word in _STYLES]
    words = [word for word in words if word and word not in _STYLES]
    while words and (words[-1] in endings or _SIZE.fullmatch(words[-1])):
        word = words.pop()
        if not word[0].isdigit():
            style.append(word)
    return tuple(words), tuple(sorted(style))
