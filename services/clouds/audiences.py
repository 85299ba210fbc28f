"""For whom an identity token is: one cloud's token endpoint, at Google one provider of one pool. Each refuses a token for another."""

import re
from typing import Final

AWS: Final = "sts.amazonaws.com"
"""IAM's recommended audience for AssumeRoleWithWebIdentity; the tenant's OIDC provider lists it as client id."""
AZURE: Final = "api://AzureADTokenExchange"
"""Entra's recommended audience of a federated credential."""
_PROVIDER: Final = (
    # Pools and providers: 4 to 32 lower-case letters, digits and hyphens (IAM, "Manage workload identity pools and providers").
    r"projects/[1-9][0-9]{0,18}/locations/global/workloadIdentityPools/[a-z0-9][a-z0-9-]{2,30}[a-z0-9]/providers/[a-z0-9][a-z0-9-]{2,30}[a-z0-9]"
)
GCP_PROVIDER: Final = re.compile(_PROVIDER)
"""A provider's resource name, with the project's number."""
_HOST: Final = "//iam.googleapis.com/"
_PATTERNS: Final = {
    "AWS": re.compile(re.escape(AWS)),
    "AZURE": re.compile(re.escape(AZURE)),
    "GCP": re.compile(re.escape(_HOST) + _PROVIDER),
}


def gcp_audience(provider: str) -> str:
    """The audience of Google's STS for a provider's resource name, and by default the one that the provider accepts in tokens, too."""
    return f"{_HOST}{provider}"


def is_audience(provider: str, audience: str) -> bool:
    """True if tokens for `provider` (GCP, AWS or AZURE) may have this audience."""
    pattern = _PATTERNS.get(provider)
    return pattern is not None and pattern.fullmatch(audience) is not None
