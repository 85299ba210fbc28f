"""Which private keys are accepted, and what finding that out costs."""

import base64
import time
from math import lcm
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicNumbers
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from services.credentials.payloads.private_key import read_private_key
from services.platform.errors import InvalidArgument
from tests.support.credentials.samples import Rsa


def read(pem: str) -> str:
    return read_private_key(pem, field="private_key")


@pytest.mark.parametrize("changed", ["p", "q", "d", "dmp1", "dmq1", "iqmp"])
def test_a_key_whose_numbers_do_not_belong_together_is_refused(rsa: Rsa, changed: str) -> None:
    """Also where the library would sign with it all the same, by the numbers that are right."""
    key = load_pem_private_key(rsa.pkcs8.encode(), password=None)
    assert isinstance(key, RSAPrivateKey)
    numbers = key.private_numbers()
    parts = {name: getattr(numbers, name) for name in ("p", "q", "d", "dmp1", "dmq1", "iqmp", "public_numbers")}
    pem = _traditional(**(parts | {changed: parts[changed] + 2}))
    with pytest.raises(InvalidArgument, match="must be an RSA private key"):
        read(pem)
    assert read(_traditional(**parts))


def test_a_key_of_a_factor_that_is_no_prime_is_refused() -> None:
    """Its numbers follow from the factors as they should, but what it signs does not verify."""
    pem = _of_factors(3 * 5 * (2**607 - 1) * (2**521 - 1), 2**1279 - 1)
    with pytest.raises(InvalidArgument, match="must be an RSA private key"):
        read(pem)


def test_the_longest_key_holds_up_no_other_call() -> None:
    """The library validates it for a quarter of a second, in which no other thread of Python runs."""
    pem = _of_factors(2**2048 - 1557, 2**2048 - 2**2000 - 367)  # primes: to look for others takes longer than all that is asked here
    began = time.process_time()
    load_pem_private_key(pem.encode(), password=None)
    validated = time.process_time() - began
    began = time.process_time()
    read(pem)
    assert time.process_time() - began < validated / 4


def _of_factors(p: int, q: int) -> str:
    e = 65537
    d = pow(e, -1, lcm(p - 1, q - 1))
    return _traditional(p=p, q=q, d=d, dmp1=d % (p - 1), dmq1=d % (q - 1), iqmp=pow(q, -1, p), public_numbers=RSAPublicNumbers(e, p * q))


def _traditional(**numbers: Any) -> str:
    """A key in PKCS#1 of any numbers: the library makes none of wrong ones."""
    public = numbers["public_numbers"]
    wanted = (0, public.n, public.e, *(numbers[name] for name in ("d", "p", "q", "dmp1", "dmq1", "iqmp")))
    body = _der(0x30, b"".join(_der(0x02, number.to_bytes(number.bit_length() // 8 + 1, "big")) for number in wanted))
    return f"-----BEGIN RSA PRIVATE KEY-----\n{base64.b64encode(body).decode()}\n-----END RSA PRIVATE KEY-----\n"


def _der(tag: int, content: bytes) -> bytes:
    size = len(content).to_bytes(2, "big").lstrip(b"\0")
    return bytes([tag]) + (size if len(content) < 128 else bytes([0x80 | len(size)]) + size) + content
