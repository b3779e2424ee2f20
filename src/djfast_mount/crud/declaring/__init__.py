"""What a resource is, and the arguments that it is declared by."""
