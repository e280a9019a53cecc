"""Field types of the config schema."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple


class Field(NamedTuple):
    """One field of the config.

    Attributes:
      default: its default, which also fixes its type.
      meaning: one line, with the unit.
      allowed: the allowed range, in words that complete "must be ...".
      check: whether a value is in that range.
    """

    default: Any
    meaning: str
    allowed: str
    check: Callable[[Any], bool]


def between(low, high, default, meaning):
    """Defines a number from `low` to `high`."""
    return Field(default, meaning, f"from {low} to {high}", lambda x: low <= x <= high)


def count(low, default, meaning):
    """Defines an integer of at least `low` that an int32 can hold."""
    return between(low, 2**31 - 1, default, meaning)


def positive(default, meaning):
    """Defines a finite number above 0."""
    return Field(
        default, meaning, "a positive number", lambda x: 0 < x and math.isfinite(x)
    )


def one_of(choices, default, meaning):
    """Defines one of some values."""
    allowed = "one of " + ", ".join(str(choice) for choice in choices)
    return Field(default, meaning, allowed, lambda x: x in choices)
