"""The studio's JSON API, one router for each resource."""
