"""Models as REST resources."""
