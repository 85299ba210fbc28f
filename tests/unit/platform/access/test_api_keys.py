"""API keys: own ones have check digits; others are only looked up."""

from hypothesis import given
from hypothesis import strategies as st

from services.platform.access.api_keys import hash_key, is_mistyped, new_api_key

DIGITS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def test_a_new_key_names_its_tenant_and_is_never_the_same() -> None:
    keys = {new_api_key("acme_corp") for _ in range(100)}
    assert len(keys) == 100
    assert all(key.startswith("acme_corp_api_v1_") and not is_mistyped(key) for key in keys)


@given(st.integers(0, 37), st.sampled_from(DIGITS))
def test_one_wrong_digit_is_always_noticed(position: int, digit: str) -> None:
    key = new_api_key("acme_corp")
    at = len(key) - 38 + position
    changed = key[:at] + digit + key[at + 1 :]
    assert is_mistyped(changed) is (changed != key)


@given(st.text(max_size=80))
def test_a_key_of_any_other_shape_is_left_to_the_table(key: str) -> None:
    assert "_api_v1_" in key or not is_mistyped(key)
    assert len(hash_key(key)) == 64


def test_the_documented_key_is_not_called_mistyped() -> None:
    assert not is_mistyped("acme_corp_12312025_api_xyz789")
