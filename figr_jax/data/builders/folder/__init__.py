"""A user's folder of images."""
