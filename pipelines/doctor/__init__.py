"""`avatarkit doctor`: what works on this machine, and what would make it work better."""
