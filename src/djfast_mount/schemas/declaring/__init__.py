"""What a schema class declares: its options, its fields, and the type that each has."""
