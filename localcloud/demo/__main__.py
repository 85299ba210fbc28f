"""`python -m localcloud.demo`: flows 1 and 2 and the bills of three clouds, against a suite that is up and has no tenant yet, such as that
of docker-compose.yml. Its addresses are in the environment, by the names of `.local/env`, and the sample tenant's bills are loaded.
"""

import os
import sys
import time
from dataclasses import dataclass
from http import HTTPStatus

import requests

from localcloud.demo.clouds_flow import CloudsFlow
from localcloud.demo.demo_flow import DemoFlow, emulated_warehouse
from localcloud.demo.narrator import Narrator, Unexpected
from localcloud.rest import Answer, Rest
from localcloud.settings import SAMPLE_TENANT, LocalSettings
from services.platform.environment.reading import read

TRIES = 5
PAUSE_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True, slots=True)
class PatientRest(Rest):
    """Asks again after a 503, as the answer says: services that have just been started may not have found each other yet."""

    def call(self, method: str, path: str, body: object | None = None, *, data: bytes | None = None) -> Answer:
        """As Rest's, and says when it asks again."""
        for _ in range(TRIES - 1):
            answer = Rest.call(self, method, path, body, data=data)
            if answer.status != HTTPStatus.SERVICE_UNAVAILABLE:
                return answer
            print(f"     503, {answer.body}; again in {PAUSE_SECONDS:g} s")
            time.sleep(PAUSE_SECONDS)
        return Rest.call(self, method, path, body, data=data)


def main() -> int:
    """Returns 0 if every result was as expected; otherwise 1, after printing the difference. Raises KeyError for a missing variable."""
    gateway, project = os.environ["GATEWAY_URL"], os.environ["GOOGLE_CLOUD_PROJECT"]
    warehouse, narrator = emulated_warehouse(os.environ["BIGQUERY_EMULATOR_HOST"], project), Narrator()
    try:
        tenant = DemoFlow(
            admin=PatientRest(url=gateway, headers={"X-Admin-Key": os.environ["ADMIN_API_KEY"]}),
            tenant=PatientRest(url=gateway, headers={}),
            warehouse=warehouse,
            credentials_file=read(LocalSettings).sample_credentials,
            project=project,
            narrator=narrator,
        ).run()
        dataset, aws = f"{project}.{SAMPLE_TENANT}", os.environ["AWS_EMULATOR_HOST"]
        CloudsFlow(tenant=tenant, warehouse=warehouse, dataset=dataset, aws=aws, narrator=narrator).run()
    except (Unexpected, TimeoutError, requests.RequestException) as problem:
        print(f"\nThe demo FAILED: {problem}", file=sys.stderr)
        return 1
    print("\nAll as expected.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
