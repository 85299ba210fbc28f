"""`python -m services.credentials.reencrypt`: moves all stored credentials to the primary version of their KMS key, and reports in JSON.

Ends with 0 if primary versions have encrypted all of them now, with 1 if not: run it again, or see the log for what stays.
"""

import asyncio
import json
import os
import sys
from dataclasses import asdict

from services.credentials.reencrypt.job import Reencryption
from services.credentials.reencrypt.store import KeyVersionStore
from services.credentials.reencrypt.watch import KeyVersionWatch
from services.credentials.settings import CredentialsSettings
from services.platform import log
from services.platform.bigquery.client import BigQuery
from services.platform.clock import SystemClock
from services.platform.environment.reading import read
from services.platform.errors import ConvergenceError
from services.platform.kms.client import Kms


async def main() -> int:
    """The exit status."""
    settings = read(CredentialsSettings)
    log.configure("reencrypt", settings.log_level, project=settings.project)
    log.warn_of_unknown_settings(os.environ)
    async with BigQuery(settings, service="reencrypt") as bq, Kms(settings) as kms:
        store = KeyVersionStore(bq)
        try:
            report = await Reencryption(store, kms, SystemClock()).run()
            survey = await KeyVersionWatch(store, keys=settings.kms_keys, minimum=settings.min_key_version).look()
        except ConvergenceError as error:
            print(json.dumps({"error": error.reason, "message": f"{error.message} What was moved stays moved; run the job again."}))
            return 1
    print(json.dumps({**asdict(report), "versions": survey.versions, "below_minimum": survey.below_minimum}))
    return 0 if set(survey.versions) <= set(report.primaries) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
