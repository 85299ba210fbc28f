"""`python -m localcloud.cloud_scheduler`: Cloud Scheduler on a laptop."""

from localcloud.cloud_scheduler.scheduler import main

if __name__ == "__main__":
    main()
