"""Tests of the sample OMS."""
