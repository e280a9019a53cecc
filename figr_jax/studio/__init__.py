"""The studio: a web page that generates images from a few drawings; its JSON API."""
