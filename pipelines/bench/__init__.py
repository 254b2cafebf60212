"""`avatarkit bench`: how fast the parts are on this machine, each beside what it cannot be faster than."""
