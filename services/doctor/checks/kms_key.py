"""Whether the KMS key that encrypts tenants' credentials can be used."""

from typing import Any

from google.api_core import exceptions as google
from google.cloud import kms_v1

from services.doctor.finding import Finding, NotChecked
from services.doctor.world import World
from services.platform.errors import Internal, Unavailable
from services.platform.kms.connection import KmsConnection

_PROBE = b"doctor"
_UNUSABLE = "the doctor looks at the cause"


async def look(world: World) -> list[Finding]:
    """Credentials encrypts: so a word is encrypted, and thrown away. The executor decrypts: so KMS is given what it cannot open."""
    if not {"credentials", "executor"} & set(world.names):
        raise NotChecked("only credentials and the executor use the key")
    if world.bq is None:
        raise NotChecked("first mend account-missing")
    found = list[Finding]()
    async with KmsConnection(world.settings, key=world.settings.kms_key, remedies={}, unusable=_UNUSABLE) as kms:
        for key in world.settings.kms_keys:
            if "credentials" in world.names:
                request: Any = kms_v1.EncryptRequest(name=key, plaintext=_PROBE, additional_authenticated_data=_PROBE)
                found += judge(key, "cryptoKeyEncrypter", await _refusal(kms, kms.client.encrypt, request))
            if "executor" in world.names:
                request = kms_v1.DecryptRequest(name=key, ciphertext=_PROBE, additional_authenticated_data=_PROBE)
                found += judge(key, "cryptoKeyDecrypter", await _refusal(kms, kms.client.decrypt, request))
    return list({(one.name, one.subject): one for one in found}.values())


def judge(key: str, role: str, refusal: google.GoogleAPICallError | None) -> list[Finding]:
    """`refusal`: what KMS said; None: nothing, it did it. Pure."""
    match refusal:
        case None | google.InvalidArgument():  # what the executor is answered for a ciphertext that is none
            return []
        case google.PermissionDenied():
            return [
                Finding(
                    name="role-missing",
                    subject=f"roles/cloudkms.{role}",
                    problem=f"This account may not use {key} as {role}.",
                    mend=f"gcloud kms keys add-iam-policy-binding {key} --member=serviceAccount:ACCOUNT --role=roles/cloudkms.{role}",
                )
            ]
        case google.FailedPrecondition():
            why, mend = (
                "its primary version is disabled or destroyed",
                f"gcloud kms keys versions list --key {key}   # then: versions enable N",
            )
        case google.NotFound():
            why, mend = (
                "there is no such key",
                f"gcloud kms keys describe {key}   # or correct CONVERGENCE_KMS_KEY, CONVERGENCE_TENANT_LOCATIONS",
            )
        case _:
            why, mend = f"KMS refuses it ({type(refusal).__name__})", f"gcloud kms keys describe {key}"
    text = f"{key} cannot be used, {why}: no credentials can be stored, and no run can begin that needs them."
    return [Finding(name="kms-key-unusable", subject=key.rpartition("/")[2], problem=text, mend=mend)]


async def _refusal(kms: KmsConnection, method: Any, request: Any) -> google.GoogleAPICallError | None:
    try:
        await kms.call(method, request)
    except google.InvalidArgument as error:
        return error
    except Internal as error:
        return error.__cause__ if isinstance(error.__cause__, google.GoogleAPICallError) else None
    except Unavailable:
        raise NotChecked("KMS does not answer: see emulators on a laptop, otherwise the network") from None
    return None
