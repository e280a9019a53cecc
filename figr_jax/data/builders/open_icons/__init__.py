"""Icons of open icon sets, by concept."""
