"""Hosts, limits of size, and Django's security settings for what Django does not answer."""
