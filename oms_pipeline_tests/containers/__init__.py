"""Tests of the image and the stack: what they promise, and a stack that runs while its parts are killed."""
