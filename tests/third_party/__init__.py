"""A site with apps of others, and what it is tested with."""
