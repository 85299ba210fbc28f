"""`python -m localcloud.certs`: a certificate for each service, the gateway and emulators, signed by an authority created for this purpose.

The authority's key is never written: a reader of the directory can act as one of the services, but cannot issue more certificates. All
certificates are created together, and again if one is missing, does not fit, or expires soon.
"""

import argparse
import fcntl
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from localcloud.files import write_private
from localcloud.settings import SERVICES, LocalSettings
from services.platform.environment.reading import read

NAMES = (*SERVICES, "gateway", "azure")
EMULATORS = {"azure": ("azure", "localhost")}
"""Emulators that speak TLS, and the names by which their clients call them besides 127.0.0.1: clients of clouds check them."""
DOMAIN = "convergence.internal"
VALID = timedelta(days=90)
RENEW_BEFORE = timedelta(days=14)


def mint(directory: Path, *, now: datetime | None = None) -> bool:
    """Creates `ca.pem`, `{name}.pem` and `{name}.key` (0600) unless valid ones exist. Returns True if it created them.

    `now` is the current time (UTC), a parameter for tests.
    """
    now = now or datetime.now(UTC)
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (directory / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _all_good(directory, now):
            return False
        authority = Authority(now)
        authority.issue_all(directory)
        write_private(directory / "ca.pem", authority.pem)
        return True


def renew(directory: Path, *, pause: Callable[[], object], now: datetime | None = None) -> None:
    """Replaces authority and certificates under running services, which read the files every `CONVERGENCE_TLS_RELOAD_SECONDS`. No call
    fails: all services trust the new authority before it signs a certificate that is used, and the old one until none of its certificates
    is used. `pause` waits between the three steps until all services have read the files. Raises OSError if there are no files yet.
    """
    now = now or datetime.now(UTC)
    with (directory / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        old, new = (directory / "ca.pem").read_text(), Authority(now)
        write_private(directory / "ca.pem", new.pem + old)
        pause()
        new.issue_all(directory)
        pause()
        write_private(directory / "ca.pem", new.pem)


class Authority:
    """A new authority. Its key exists in this object only."""

    def __init__(self, now: datetime) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("Convergence local authority")
        self._now = now
        self._certificate = (
            _builder(self._name, self._name, self._key.public_key(), now)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(authority=True), critical=True)
            .sign(self._key, hashes.SHA256())
        )

    @property
    def pem(self) -> str:
        """Its certificate."""
        return self._certificate.public_bytes(serialization.Encoding.PEM).decode()

    def issue_all(self, directory: Path) -> None:
        """`{name}.key` and `{name}.pem` of every part."""
        for name in NAMES:
            self.issue(directory, name, _addresses(name))

    def issue(self, directory: Path, name: str, alternative_names: Sequence[x509.GeneralName]) -> None:
        """`{name}.key` and `{name}.pem` with these alternative names."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            _builder(_name(name), self._name, key.public_key(), self._now)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .add_extension(x509.SubjectAlternativeName(alternative_names), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        write_private(directory / f"{name}.key", pem.decode())
        write_private(directory / f"{name}.pem", certificate.public_bytes(serialization.Encoding.PEM).decode())


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        # The clocks of containers and their host differ a little.
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + VALID)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _all_good(directory: Path, now: datetime) -> bool:
    try:
        ca = x509.load_pem_x509_certificate((directory / "ca.pem").read_bytes())
        for name in NAMES:
            certificate = x509.load_pem_x509_certificate((directory / f"{name}.pem").read_bytes())
            key = serialization.load_pem_private_key((directory / f"{name}.key").read_bytes(), password=None)
            certificate.verify_directly_issued_by(ca)
            if certificate.public_key() != key.public_key() or certificate.not_valid_after_utc < now + RENEW_BEFORE:
                return False
    except (OSError, ValueError, TypeError, InvalidSignature):
        return False
    return True


def _addresses(name: str) -> list[x509.GeneralName]:
    names = [x509.DNSName(known) for known in (f"{name}.{DOMAIN}", *EMULATORS.get(name, ()))]
    return [*names, x509.IPAddress(IPv4Address("127.0.0.1"))] if name in EMULATORS else list[x509.GeneralName](names)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def main() -> None:
    """Creates them in the given directory, by default the stack's."""
    parser = argparse.ArgumentParser(prog="python -m localcloud.certs", description="Certificates for mTLS between the processes.")
    parser.add_argument("directory", nargs="?", type=Path, default=read(LocalSettings).certs_dir, help="where (%(default)s)")
    parser.add_argument("--renew", type=float, metavar="SECONDS", help="replace them under running services, in three steps so far apart")
    options = parser.parse_args()
    if options.renew is None:
        print(f"{options.directory}: {'minted' if mint(options.directory) else 'good'}")
    else:
        renew(options.directory, pause=partial(time.sleep, options.renew))
        print(f"{options.directory}: renewed")


if __name__ == "__main__":
    main()
