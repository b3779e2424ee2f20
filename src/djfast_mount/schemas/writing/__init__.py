"""Bodies to rows: the classes of bodies, and how their values are validated and saved."""
