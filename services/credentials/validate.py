"""Tries credentials in the tenant's cloud before they are stored."""

import asyncio
from typing import Final

from services.clouds.access import AccessRefused, CloudEndpoints, TenantAccess, TokenOf, no_token
from services.clouds.audiences import is_audience
from services.clouds.check_pool import CheckPool
from services.clouds.checks import CHECKS
from services.clouds.findings import AccessReport, AccessVerdict, FindingStatus
from services.clouds.probes import probe_subjects
from services.credentials.access_checks import PassedCheck
from services.credentials.issuer.issuer import TokenIssuer
from services.credentials.providers import Provider
from services.platform.errors import ConvergenceError, FailedPrecondition, InvalidArgument, Unavailable

TOKEN_SECONDS: Final = 10.0
"""How long a check waits for a token."""
REASONS: Final = {
    AccessVerdict.REFUSED: "CREDENTIALS_REFUSED",
    AccessVerdict.LACKS: "ACCESS_LACKING",
    AccessVerdict.OPEN: "ACCESS_OPEN",
}


class CredentialValidator:
    """Checks access with the plaintext at hand: once it is stored, only the executor can decrypt it."""

    def __init__(self, checks: CheckPool, endpoints: CloudEndpoints, issuer: TokenIssuer | None) -> None:
        """`issuer`: None where no identity tokens are issued."""
        self._checks = checks
        self._endpoints = endpoints
        self._issuer = issuer

    async def require(self, tenant_id: str, provider: Provider, plaintext: bytes, export: str | None) -> PassedCheck:
        """Tries the credentials. `plaintext` is what `payloads` returned.

        Raises FailedPrecondition (CREDENTIALS_REFUSED, ACCESS_LACKING, ACCESS_OPEN), Unavailable (CLOUD_UNAVAILABLE), InvalidArgument,
        ResourceExhausted (CHECK_RUNNING).
        """
        if provider not in CHECKS:
            raise InvalidArgument("validate", f"is for {', '.join(CHECKS)}. Leave it out for {provider}.")
        access = TenantAccess(
            tenant_id=tenant_id,
            provider=provider,
            plaintext=plaintext,
            session="convergence-validate",
            endpoints=self._endpoints,
            token_of=self._token_of(provider, tenant_id),
            probes={subject: self._token_of(provider, subject) for subject in probe_subjects(tenant_id)},
        )
        report = await self._checks.check(access, export)
        if (refusal := refusal_of(report, tenant_id, provider)) is not None:
            raise refusal
        return PassedCheck(status=report.verdict, export=export)

    def _token_of(self, provider: Provider, subject: str) -> TokenOf:
        """Tokens about a subject, for threads."""
        issuer, loop = self._issuer, asyncio.get_running_loop()
        if issuer is None:
            return no_token

        def token_of(audience: str) -> str:
            if not is_audience(provider, audience):
                raise AccessRefused(f"No identity tokens for {provider} are issued for this audience. Set the credentials again.")
            minting = asyncio.run_coroutine_threadsafe(issuer.mint(subject=subject, audience=audience), loop)
            try:
                return minting.result(TOKEN_SECONDS).token
            except (TimeoutError, Unavailable) as error:
                raise AccessRefused("No identity token could be signed just now. Try again in a moment.", is_retryable=True) from error

        return token_of


def refusal_of(report: AccessReport, tenant_id: str, provider: str) -> ConvergenceError | None:
    """The error for the caller, with the findings; None if the access works. Pure."""
    if report.verdict is AccessVerdict.WORKS:
        return None
    metadata = {"tenant_id": tenant_id, "provider": provider, "verdict": str(report.verdict)}
    if report.verdict is AccessVerdict.UNKNOWN:
        message = f"The cloud did not answer in time when the {provider} credentials were tried. Nothing was stored; try again in a moment."
        return Unavailable("CLOUD_UNAVAILABLE", message, metadata=metadata)
    for status in (FindingStatus.MISSING, FindingStatus.OPEN):
        if names := report.names(status):
            metadata[status.lower()] = ", ".join(names)
    message = f"The {provider} credentials were tried and not stored. {report.problem}"
    return FailedPrecondition(REASONS[report.verdict], message, metadata=metadata)
