"""Losses of MegaPortraits: pure functions with thin modules."""
