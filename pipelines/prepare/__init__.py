"""Whole runs of `prepare-data`: plan, work in processes or on a cluster, seal, select, finish."""
