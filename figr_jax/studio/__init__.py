"""The studio: a page where four drawings become a hundred, and its JSON API."""
