"""Identity tokens of the local Cloud Scheduler, verified by the services' own code over HTTP."""

from pathlib import Path

import pytest

from localcloud.cloud_scheduler.google_accounts import GoogleAccounts
from localcloud.ports import free_ports
from services.platform.access.oidc_operators import Operators
from services.platform.errors import Unavailable
from services.platform.oidc.trusted_issuers import RoleRule, TrustedIssuer

EMAIL, AUDIENCE = "jobs@p.iam.gserviceaccount.com", "http://gateway"


async def test_its_tokens_are_good_and_stay_so_over_a_restart(tmp_path: Path) -> None:
    port, file = free_ports(1)[0], tmp_path / "key.pem"
    accounts = GoogleAccounts(f"http://127.0.0.1:{port}", file)
    rule = RoleRule(role="scheduler", email=EMAIL)
    operators = Operators([TrustedIssuer(issuer=accounts.url, audience=AUDIENCE, rules=(rule,))])
    with pytest.raises(Unavailable):
        await Operators([TrustedIssuer(issuer=accounts.url, audience=AUDIENCE, rules=(rule,))]).authenticate(
            accounts.identity_token(EMAIL, AUDIENCE)
        )
    with accounts.serve("127.0.0.1", port):
        operator = await operators.authenticate(accounts.identity_token(EMAIL, AUDIENCE))
    assert (operator.principal, set(operator.roles)) == (EMAIL, {"scheduler"})

    again = GoogleAccounts(accounts.url, file)
    assert await operators.authenticate(again.identity_token(EMAIL, AUDIENCE)) == operator
    assert file.stat().st_mode & 0o777 == 0o600
    assert again.document("/") is None
