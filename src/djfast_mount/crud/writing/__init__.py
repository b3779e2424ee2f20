"""Writes: bodies, deletion and the preconditions of a change."""
