"""Tests of the room that reads the OMS database."""
