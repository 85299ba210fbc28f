"""Cloud Scheduler on a laptop: it fires the jobs of `configs/cloud_scheduler/jobs.yaml` over HTTP."""
