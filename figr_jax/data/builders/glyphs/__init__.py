"""Characters of the Unicode standard, drawn in sixteen free fonts."""

from figr_jax.data.builders.glyphs.glyphs import Glyphs as Glyphs
