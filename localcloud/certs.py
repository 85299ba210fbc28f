"""`python -m localcloud.certs`: a certificate for each service, the gateway and emulators, signed by an authority created for this purpose.

The authority's key is never written: a reader of the directory can act as one of the services, but cannot issue more certificates. All
certificates are created together, and again if one is missing, does not fit, or expires soon.
"""

import argparse
import fcntl
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from localcloud.files import write_private
from localcloud.settings import SERVICES, LocalSettings

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
        _mint_all(directory, now)
        return True


def _mint_all(directory: Path, now: datetime) -> None:
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca_name = _name("Convergence local authority")
    ca = (
        _builder(ca_name, ca_name, ca_key.public_key(), now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(authority=True), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    for name in NAMES:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            _builder(_name(name), ca_name, key.public_key(), now)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .add_extension(x509.SubjectAlternativeName(_addresses(name)), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
            .sign(ca_key, hashes.SHA256())
        )
        pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        write_private(directory / f"{name}.key", pem.decode())
        write_private(directory / f"{name}.pem", certificate.public_bytes(serialization.Encoding.PEM).decode())
    write_private(directory / "ca.pem", ca.public_bytes(serialization.Encoding.PEM).decode())


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
    parser.add_argument("directory", nargs="?", type=Path, default=LocalSettings().certs_dir, help="where (%(default)s)")
    directory = parser.parse_args().directory
    print(f"{directory}: {'minted' if mint(directory) else 'good'}")


if __name__ == "__main__":
    main()
