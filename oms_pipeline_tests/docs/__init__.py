"""The documents say what there is."""
