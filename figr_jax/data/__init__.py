"""Images: from files to banks to episodes."""
