"""Measures of results: pure functions over arrays."""
