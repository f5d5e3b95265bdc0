"""Keeps a Metabase as the definition has it. Touches nothing that people made there."""
