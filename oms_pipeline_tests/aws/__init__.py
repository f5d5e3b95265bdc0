"""AWS, as far as it can be had here: templates deployed to a real server, policies enforced, the machine's script run."""
