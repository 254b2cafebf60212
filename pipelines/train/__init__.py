"""Training: the plan that `--dry-run` shows, and the run."""
