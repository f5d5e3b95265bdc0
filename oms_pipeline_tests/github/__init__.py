"""What runs on GitHub, as far as it can be read."""
