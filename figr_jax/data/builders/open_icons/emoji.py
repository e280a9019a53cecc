"""The emoji sets in colour, and the concepts of emoji, from their Unicode names."""

import collections
import re

# Author and licence of each set.
SETS = {
    "emojione": "Emoji One, CC BY 4.0",
    "fluent-emoji": "Microsoft Corporation, MIT",
    "fluent-emoji-flat": "Microsoft Corporation, MIT",
    "fxemoji": "Mozilla, Apache 2.0",
    "noto": "Google Inc, Apache 2.0",
    "noto-v1": "Google Inc, Apache 2.0",
    "streamline-emojis": "Streamline, CC BY 4.0",
    "twemoji": "Twitter, CC BY 4.0",
}
SHARE_ALIKE = {
    "emojione-v1": "Emoji One, CC BY-SA 4.0",
    "openmoji": "OpenMoji, CC BY-SA 4.0",
}

_TONE = re.compile(r"-(light|medium-light|medium|medium-dark|dark)$")
_NUMBER = re.compile(r" \d$")


def split(names):
    """Finds the concepts of a set's emoji: their names, which are those of Unicode.

    Args:
      names: names of all emoji of the set, like `red-apple`.

    Returns:
      Dict of a name to two tuples, as `concepts.split`: the concept as one string, and
      no style. Emoji in a skin tone are left out: the set also has a neutral one.
    """
    return {
        name: ((name.replace("-", " "),), ())
        for name in names
        if "skin-tone" not in name
        and not (_TONE.search(name) and _TONE.sub("-medium-dark", name) in names)
    }


def match(icons):
    """Gives one concept to emoji whose names differ only in form.

    `redapple` and `red apple 2` become `red apple`, if other emoji have that name, and
    none has theirs.

    Args:
      icons: list of `icons.Icon` of all sets.

    Returns:
      The list with other concepts.
    """
    counts = collections.Counter(icon.concept[0] for icon in icons)
    known = {name: name for name in counts}
    known |= {name.replace(" ", ""): name for name in sorted(counts) if " " in name}
    matched = []
    for icon in icons:
        name = icon.concept[0]
        if counts[name] == 1:
            name = known.get(_NUMBER.sub("", name), name)
        matched.append(icon._replace(concept=(name,)))
    return matched
