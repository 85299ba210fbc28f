"""Which files of an identity fit each other, and what a watch does with those that do not."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from localcloud.certs import VALID, Authority, mint
from services.platform.tls.files import TlsFiles, problem_of, read
from services.platform.tls.watch import TlsWatch

NOW = datetime.now(UTC)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    mint(tmp_path, now=NOW)
    return tmp_path


def in_use(name: str) -> float | None:
    return REGISTRY.get_sample_value("convergence_tls_expiry_timestamp_seconds", {"name": name})


def half(pem: bytes) -> bytes:
    return pem[: len(pem) // 2]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda files, _: files, None),
        (lambda files, other: replace(files, authorities=other.authorities + files.authorities), None),
        (lambda files, other: replace(files, authorities=other.authorities), "of no authority in ca.pem"),
        (lambda files, other: replace(files, key=other.key), "the key is not the certificate's"),
        (lambda files, _: replace(files, key=half(files.key)), "no complete PEM"),
        (lambda files, _: replace(files, certificate=half(files.certificate)), "no complete PEM"),
        (lambda files, _: replace(files, authorities=b""), "no complete PEM"),
        (lambda files, other: replace(files, certificate=files.certificate + other.certificate), "of no authority in ca.pem"),
    ],
    ids=["good", "two authorities", "other authority", "other key", "half a key", "half a certificate", "no authority", "broken chain"],
)
def test_what_fits(directory: Path, tmp_path: Path, change: Callable[[TlsFiles, TlsFiles], TlsFiles], said: str | None) -> None:
    other = tmp_path / "other"
    mint(other, now=NOW)
    found = problem_of(change(read(directory, "auth"), read(other, "auth")), NOW)
    assert found is None if said is None else said in (found or "")


def test_a_certificate_fits_until_it_expires(directory: Path) -> None:
    files = read(directory, "auth")
    end = NOW.replace(microsecond=0) + VALID
    assert problem_of(files, end - timedelta(seconds=1)) is None
    assert "expired at" in (problem_of(files, end) or "")


async def test_a_set_is_used_once_it_fits_and_what_does_not_is_logged_once(directory: Path) -> None:
    watch = TlsWatch(directory, "auth")
    first, expiry = watch.current, in_use("auth")
    later = Authority(NOW + timedelta(days=1))
    later.issue_all(directory)
    with capture_logs() as logs:
        await watch.refresh()
        await watch.refresh()
        (directory / "auth.key").unlink()
        await watch.refresh()
        await watch.refresh()
    assert [(log["event"], log["problem"]) for log in logs] == [
        ("certificates_unfit", "the certificate is of no authority in ca.pem"),
        ("certificates_unfit", "a file cannot be read (FileNotFoundError)"),
    ]
    assert watch.current is first

    later.issue_all(directory)
    (directory / "ca.pem").write_text(later.pem)
    with capture_logs() as logs:
        await watch.refresh()
        await watch.refresh()

    assert [log["event"] for log in logs] == ["certificates_renewed"]
    assert watch.current == read(directory, "auth")
    assert expiry is not None
    assert in_use("auth") == in_use("ca") == expiry + timedelta(days=1).total_seconds()
