"""Certificates for mTLS between the services."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from localcloud.certs import EMULATORS, NAMES, RENEW_BEFORE, VALID, mint


def load(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "certs"


def test_every_part_gets_a_certificate_that_names_it(directory: Path) -> None:
    """P-256, signed by the authority, for both ends of a connection; keys for the owner's eyes only; no authority's key anywhere."""
    assert mint(directory)

    authority = load(directory / "ca.pem")
    for name in NAMES:
        certificate = load(directory / f"{name}.pem")
        certificate.verify_directly_issued_by(authority)
        san = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert san.get_values_for_type(x509.DNSName) == [f"{name}.convergence.internal", *EMULATORS.get(name, ())]
        assert [str(one) for one in san.get_values_for_type(x509.IPAddress)] == (["127.0.0.1"] if name in EMULATORS else [])
        key = certificate.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        assert key.curve.name == "secp256r1"
        assert (directory / f"{name}.key").stat().st_mode & 0o777 == 0o600
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(directory / "ca.pem"))
        context.load_cert_chain(directory / f"{name}.pem", directory / f"{name}.key")
    assert sorted(path.stem for path in directory.glob("*.key")) == sorted(NAMES)


def test_good_certificates_are_kept(directory: Path) -> None:
    mint(directory)
    before = {path.name: path.read_bytes() for path in directory.iterdir()}

    assert not mint(directory)
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == before


def test_certificates_are_minted_again_before_they_end(directory: Path) -> None:
    now = datetime.now(UTC)
    mint(directory, now=now - VALID + RENEW_BEFORE - timedelta(days=1))

    assert mint(directory, now=now)
    assert load(directory / "auth.pem").not_valid_after_utc > now + RENEW_BEFORE


@pytest.mark.parametrize("name", ["ca.pem", "auth.pem", "gateway.key"])
@pytest.mark.parametrize("content", [None, "", "executor"])
def test_certificates_that_do_not_fit_are_minted_again(directory: Path, name: str, content: str | None) -> None:
    """A file that is missing, empty or of another part must not stop the stack from starting."""
    mint(directory)
    if content is None:
        (directory / name).unlink()
    else:
        other = (directory / f"executor.{name[-3:]}").read_text()
        (directory / name).write_text(other if content else "")

    assert mint(directory)
    load(directory / "auth.pem").verify_directly_issued_by(load(directory / "ca.pem"))
