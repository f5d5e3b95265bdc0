"""Tests of the look at each part before a run."""
