"""Static files by WhiteNoise's rules."""
