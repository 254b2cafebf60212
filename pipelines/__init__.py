"""Whole jobs: typed configuration in, typed report out. Nothing here prints."""
