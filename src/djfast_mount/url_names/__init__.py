"""Names of URLs over both frameworks."""
