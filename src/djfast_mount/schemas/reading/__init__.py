"""Rows to schemas: by a plan, by instances, or by the database's own JSON."""
