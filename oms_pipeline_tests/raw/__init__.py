"""Tests of the room that lands days."""
