"""The three files of a service's identity, and whether they fit each other. Pure but for `read`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import load_pem_private_key


@dataclass(frozen=True, kw_only=True, slots=True)
class TlsFiles:
    """All in PEM."""

    authorities: bytes = field(repr=False)
    """`ca.pem`: the authorities that are trusted. Two, while one replaces the other."""
    certificate: bytes = field(repr=False)
    """`{name}.pem`: the service's own certificate, and those between it and an authority, if any."""
    key: bytes = field(repr=False)
    """`{name}.key`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Expiry:
    """When a set of files ends."""

    own: datetime
    """The service's certificate."""
    authorities: datetime
    """The last of the authorities to expire."""


def read(directory: Path, name: str) -> TlsFiles:
    """The files as they are now. Raises OSError if one cannot be read."""
    return TlsFiles(
        authorities=(directory / "ca.pem").read_bytes(),
        certificate=(directory / f"{name}.pem").read_bytes(),
        key=(directory / f"{name}.key").read_bytes(),
    )


def problem_of(files: TlsFiles, now: datetime) -> str | None:
    """Why the files cannot be used at `now` (UTC): what a half-written or mismatching set lacks. None: they fit."""
    try:
        authorities, chain = _certificates(files.authorities), _certificates(files.certificate)
        key = load_pem_private_key(files.key, password=None)
    except (ValueError, TypeError):
        return "a file is no complete PEM"
    if chain[0].public_key() != key.public_key():
        return "the key is not the certificate's"
    if now >= chain[0].not_valid_after_utc:
        return f"the certificate expired at {chain[0].not_valid_after_utc.isoformat()}"
    if not _reaches(chain, authorities):
        return "the certificate is of no authority in ca.pem"
    return None


def expiry_of(files: TlsFiles) -> Expiry:
    """Raises ValueError if a file is no complete PEM."""
    return Expiry(
        own=_certificates(files.certificate)[0].not_valid_after_utc,
        authorities=max(one.not_valid_after_utc for one in _certificates(files.authorities)),
    )


def _certificates(pem: bytes) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(pem)


def _reaches(chain: Sequence[x509.Certificate], authorities: Sequence[x509.Certificate]) -> bool:
    """Each certificate is issued by the next one, and the last by an authority, or it is one."""
    if any(not _issued(one, by) for one, by in pairwise(chain)):
        return False
    return chain[-1] in authorities or any(_issued(chain[-1], by) for by in authorities)


def _issued(certificate: x509.Certificate, by: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(by)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
