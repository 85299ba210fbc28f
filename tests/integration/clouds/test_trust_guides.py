"""What a tenant is given to paste, set up in the local clouds: it opens the export for that tenant's tokens, and for no other's."""

import json
import shlex
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from localcloud.aws.account import ACCOUNT
from localcloud.azure.directory import EntraApplication, FederatedCredential, RoleAssignment, Seed
from services.clouds.access import TokenOf
from services.clouds.checks import check_access
from services.clouds.findings import AccessVerdict
from services.clouds.probes import probe_subjects
from services.credentials.payloads import to_plaintext
from services.credentials.providers import Provider
from services.credentials.trust.aws import aws_guide
from services.credentials.trust.azure import azure_guide
from services.credentials.trust.guide import Trusted, TrustGuide
from tests.support.aws import AwsAccount
from tests.support.azure import ACCOUNT as STORAGE
from tests.support.azure import CONTAINER, DIRECTORY, SEED, azure_server, put, writing
from tests.support.oidc_issuer import LocalIssuer, local_issuer

TENANT, NEIGHBOUR = "acme_corp", "acme_corp_2"


@pytest.fixture(scope="module")
def issuer() -> Iterator[LocalIssuer]:
    with local_issuer() as it:
        yield it


def about(issuer: LocalIssuer, subject: str) -> TokenOf:
    return lambda audience: issuer.token(subject=subject, audience=audience, now=datetime.now(UTC))


def probes(issuer: LocalIssuer, tenant_id: str) -> dict[str, TokenOf]:
    return {subject: about(issuer, subject) for subject in probe_subjects(tenant_id)}


def file(guide: TrustGuide, name: str) -> str:
    [text] = [one.text for one in guide.files if one.name == name]
    return text


def test_aws(aws_emulator: str, issuer: LocalIssuer) -> None:
    account = AwsAccount(url=aws_emulator)
    account.put("billing/focus/metadata/BILLING_PERIOD=2026-10/focus-Manifest.json", "{}")
    export = str(account.location())
    role = f"arn:aws:iam::{ACCOUNT}:role/finops/Reads-{account.bucket}"
    guide = aws_guide(Trusted(issuer=issuer.url, subject=TENANT), {"role_arn": role, "export": export})
    provide, create, _ = (shlex.split(one.line) for one in guide.commands)
    account.provider(provide[provide.index("--url") + 1], provide[provide.index("--client-id-list") + 1])
    name = create[create.index("--role-name") + 1]
    account.iam.create_role(
        RoleName=name, Path=create[create.index("--path") + 1], AssumeRolePolicyDocument=file(guide, "trust-policy.json")
    )
    account.iam.put_role_policy(RoleName=name, PolicyName="read-export", PolicyDocument=file(guide, "read-policy.json"))

    access = replace(
        account.access({}, about(issuer, TENANT)),
        plaintext=to_plaintext(Provider.AWS, guide.credentials),
        probes=probes(issuer, TENANT),
    )
    assert check_access(access, export).verdict is AccessVerdict.WORKS
    assert check_access(replace(access, token_of=about(issuer, NEIGHBOUR)), export).verdict is AccessVerdict.REFUSED


def test_azure(tmp_path: Path, issuer: LocalIssuer) -> None:
    client = "4d1c2b6a-7a0e-4c38-a1d4-0000000000ff"
    given = {"directory_id": DIRECTORY, "client_id": client, "subscription_id": DIRECTORY, "export": f"{STORAGE}/{CONTAINER}/finops/focus"}
    guide = azure_guide(Trusted(issuer=issuer.url, subject=TENANT), given)
    credential = json.loads(file(guide, "federated-credential.json"))
    assign = shlex.split(guide.commands[-1].line)
    application = EntraApplication(
        directory_id=DIRECTORY,
        client_id=assign[assign.index("--assignee") + 1],
        secrets=(),
        roles=(RoleAssignment(account=STORAGE, role=assign[assign.index("--role") + 1]),),
        federated=tuple(
            FederatedCredential(issuer=credential["issuer"], subject=credential["subject"], audience=one) for one in credential["audiences"]
        ),
    )
    with azure_server(tmp_path) as server:
        server.azure.directories.seed(Seed(applications=(*SEED.applications, application), accounts=SEED.accounts))
        with writing(server) as container:
            put(container, "finops/focus/20261001-20261031/202611010000/manifest.json", b"{}")
        access = replace(
            server.access(),
            plaintext=to_plaintext(Provider.AZURE, guide.credentials),
            token_of=about(issuer, TENANT),
            probes=probes(issuer, TENANT),
        )
        assert check_access(access, given["export"]).verdict is AccessVerdict.WORKS
        refused = check_access(replace(access, token_of=about(issuer, NEIGHBOUR)), given["export"])
        assert refused.verdict is AccessVerdict.REFUSED
