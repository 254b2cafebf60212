"""Tasks in worker processes, on this machine, a Ray cluster or as a SLURM array; what a task is, its owner knows."""
