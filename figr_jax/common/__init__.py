"""Helpers of all parts: errors, signals, commands, files, pictures, compilation."""
