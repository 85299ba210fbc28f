"""Whether this process has an account at Google Cloud."""

import asyncio

import google.auth
from google.auth.exceptions import DefaultCredentialsError

from services.doctor.finding import Finding, NotChecked
from services.doctor.world import World
from services.platform.settings import ServiceSettings


async def look(world: World) -> list[Finding]:
    """Looks for application default credentials, as Google's clients do."""
    if not needs_account(world.settings):
        raise NotChecked("BigQuery and KMS are emulators")
    try:
        await asyncio.to_thread(google.auth.default)
    except DefaultCredentialsError:
        return judge(has_account=False)
    return judge(has_account=True)


def needs_account(settings: ServiceSettings) -> bool:
    """Whether BigQuery or KMS is the real one. Pure."""
    return not (settings.bigquery_emulator_host and settings.kms_emulator_host)


def judge(*, has_account: bool) -> list[Finding]:
    """Pure."""
    if has_account:
        return []
    return [
        Finding(
            name="account-missing",
            subject="Google Cloud",
            problem="This process has no account at Google Cloud (no application default credentials), and no emulators are set.",
            mend="kubectl describe serviceaccount   # is it bound by Workload Identity? By hand: gcloud auth application-default login",
        )
    ]
