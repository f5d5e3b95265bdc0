"""The web UI as people use it: a real `oms dev`, a real Chromium, and nothing but looking, typing and clicking."""
