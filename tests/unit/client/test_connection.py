"""Where a client connects and as whom: arguments, then the environment, then a profile, whose keys go nowhere but to its own URL."""

import os
import traceback
from pathlib import Path

import pytest
from convergence.cli.app import DEBUG
from convergence.client import Profile, errors
from convergence.client.connection import ENVIRONMENT, Connection, resolve
from convergence.client.profiles import Profiles, profiles_path, read_profiles

from localcloud.processes.given import FOR_CLIENTS

FILE = """
default = "prod"

[profiles.prod]
url = "https://convergence.acme.example"
tenant_id = "acme_corp"
api_key = "prod-key"

[profiles.laptop]
url = "http://127.0.0.1:8080"
admin_key = "laptop-admin-key"
"""


@pytest.fixture(name="home")
def _home(tmp_path: Path) -> dict[str, str]:
    """An environment with a profiles file."""
    environment = {"XDG_CONFIG_HOME": str(tmp_path)}
    path = profiles_path(environment)
    path.parent.mkdir()
    path.write_text(FILE)
    path.chmod(0o600)
    return environment


def connection(environment: dict[str, str], profile: str | None = None, **given: str) -> Connection:
    return resolve(Profile(**given), token=None, profile=profile, environment=environment)


def test_an_argument_comes_before_a_variable_and_that_before_a_profile(home: dict[str, str]) -> None:
    from_profile = connection(home)
    assert (from_profile.url, from_profile.tenant_id, from_profile.profile) == ("https://convergence.acme.example", "acme_corp", "prod")
    assert from_profile.credentials.api_key == "prod-key"
    by_variable = connection({**home, "CONVERGENCE_TENANT_ID": "other", "CONVERGENCE_API_KEY": "k"})
    assert (by_variable.url, by_variable.tenant_id, by_variable.credentials.api_key) == (from_profile.url, "other", "k")
    by_argument = connection({**home, "CONVERGENCE_TENANT_ID": "other"}, tenant_id="third")
    assert by_argument.tenant_id == "third"


@pytest.mark.parametrize("given", [{"url": "http://127.0.0.1:9"}, {}])
def test_a_profile_s_keys_go_to_its_own_url_only(home: dict[str, str], given: dict[str, str]) -> None:
    environment = {**home, "CONVERGENCE_PROFILE": "prod", **({} if given else {"CONVERGENCE_URL": "http://127.0.0.1:9"})}
    found = connection(environment, **given)
    assert (found.url, found.credentials.api_key, found.tenant_id, found.profile) == ("http://127.0.0.1:9", "", "", "")
    with pytest.raises(errors.ConfigurationError, match="either a profile or a URL"):
        connection(home, profile="prod", url="http://127.0.0.1:9")


def test_a_named_profile_is_taken_as_it_is(home: dict[str, str]) -> None:
    assert connection({**home, "CONVERGENCE_PROFILE": "laptop"}).credentials.admin_key == "laptop-admin-key"
    named = connection({**home, "CONVERGENCE_URL": "http://127.0.0.1:9", "CONVERGENCE_API_KEY": "k"}, profile="laptop")
    assert (named.url, named.credentials.api_key, named.profile) == ("http://127.0.0.1:8080", "", "laptop")
    with pytest.raises(errors.ConfigurationError, match=r"no profile 'old'; there are: laptop, prod"):
        connection(home, profile="old")


def test_without_any_address_the_error_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(errors.ConfigurationError, match=r"`url=`.*CONVERGENCE_URL.*convergence login"):
        connection({"XDG_CONFIG_HOME": str(tmp_path)})


@pytest.mark.parametrize(
    ("url", "target", "tls"),
    [
        ("http://127.0.0.1:8080", "127.0.0.1:8080", False),
        ("https://convergence.acme.example/", "convergence.acme.example:443", True),
        ("http://[::1]:8080", "[::1]:8080", False),
        ("http://gateway", "gateway:80", False),
    ],
)
def test_the_scheme_says_whether_it_is_encrypted(url: str, target: str, tls: bool) -> None:
    found = connection({}, url=url)
    assert (found.target, found.tls) == (target, tls)


@pytest.mark.parametrize(
    "url",
    [
        *("127.0.0.1:8080", "ftp://host", "https://", "https://host/api/v1", "https://me:secret-9@host", "http://host:port"),
        *("http://a b", "http://ho\nst", "http://host?", "http://host#secret-9", "http://host\\x", "http://host\x9b"),
    ],
)
def test_what_is_no_address_of_a_gateway_is_refused(url: str) -> None:
    with pytest.raises(errors.ConfigurationError, match="https://host") as raised:
        connection({}, url=url)
    assert "secret-9" not in "".join(traceback.format_exception(raised.value))


def test_a_missing_certificate_authority_is_named(tmp_path: Path) -> None:
    with pytest.raises(errors.ConfigurationError, match=r"ca\.pem"):
        connection({}, url="https://host", ca_file=str(tmp_path / "ca.pem")).roots()
    assert connection({}, url="https://host").roots() is None


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_file_that_others_may_read_is_refused(home: dict[str, str], mode: int) -> None:
    path = profiles_path(home)
    path.chmod(mode)
    with pytest.raises(errors.ConfigurationError, match="chmod 600"):
        read_profiles(path)


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
def test_a_directory_that_others_may_write_is_refused(home: dict[str, str], mode: int) -> None:
    path = profiles_path(home)
    path.parent.chmod(mode)
    with pytest.raises(errors.ConfigurationError, match="chmod 700"):
        read_profiles(path)
    path.unlink()
    with pytest.raises(errors.ConfigurationError, match="chmod 700"):
        read_profiles(path)


def test_a_volume_that_keeps_its_files_is_taken(home: dict[str, str]) -> None:
    path = profiles_path(home)
    path.parent.chmod(0o1777)
    assert read_profiles(path).default == "prod"


def test_what_is_no_regular_file_is_refused_and_not_waited_for(home: dict[str, str]) -> None:
    path = profiles_path(home)
    path.unlink()
    os.mkfifo(path, 0o600)
    with pytest.raises(errors.ConfigurationError, match="no regular file"):
        read_profiles(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(errors.ConfigurationError, match=r"profiles\.toml"):
        read_profiles(path)


@pytest.mark.parametrize(
    "text",
    [
        'api_key = "secret-9',
        "default = 1",
        'profiles = "secret-9"',
        '[profiles.a]\napi_key = 9\nurl = "secret-9"',
        '[profiles.a]\npassword = "secret-9"',
        "\udcff",
    ],
)
def test_a_file_that_cannot_be_read_is_named_and_not_quoted(home: dict[str, str], text: str) -> None:
    path = profiles_path(home)
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(errors.ConfigurationError, match=r"profiles\.toml") as raised:
        read_profiles(path)
    assert "secret-9" not in "".join(traceback.format_exception(raised.value))


def test_no_file_is_no_profile(tmp_path: Path) -> None:
    assert read_profiles(tmp_path / "none.toml") == Profiles()
    assert profiles_path({"HOME": "/home/jo", "XDG_CONFIG_HOME": "relative"}) == Path("/home/jo/.config/convergence/profiles.toml")


def test_a_caller_s_keys_do_not_reach_the_services_of_a_local_stack() -> None:
    assert {*ENVIRONMENT.values(), "CONVERGENCE_PROFILE", DEBUG} == FOR_CLIENTS
