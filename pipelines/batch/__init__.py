"""Many portraits by many drivers: jobs, resuming, workers, status, a gallery.

    from avatarkit.pipelines.batch import BatchOptions, Job, run

    report = run([Job(ReenactConfig(source, driver, output)), ...], BatchOptions(out))
"""

from avatarkit.pipelines.batch.jobs import Job
from avatarkit.pipelines.batch.plan import BatchOptions
from avatarkit.pipelines.batch.run import run

__all__ = ["BatchOptions", "Job", "run"]
