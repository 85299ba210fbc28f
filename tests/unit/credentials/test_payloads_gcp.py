"""Which Google credentials are accepted, and how they are rebuilt."""

import base64
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from google.oauth2 import service_account

from services.credentials.payloads import to_plaintext
from services.credentials.providers import Provider
from services.platform.errors import InvalidArgument
from tests.support.credentials.samples import Rsa, gcp, key_file

FILE = "credentials.service_account_json"


def refusal(credentials: dict[str, Any]) -> InvalidArgument:
    with pytest.raises(InvalidArgument) as caught:
        to_plaintext(Provider.GCP, credentials)
    return caught.value


def test_a_key_file_is_rebuilt_from_the_fields_we_allow(rsa: Rsa) -> None:
    """Whatever the file says about Google's addresses, ours stand in what is sealed, and nothing else of it does."""
    older = {"token_uri": "https://accounts.google.com/o/oauth2/token", "auth_uri": None, "universe_domain": None, "extra": "x"}

    sealed = json.loads(to_plaintext(Provider.GCP, gcp(rsa, **older)))

    assert sealed == {
        "project_id": "acme-gcp-project",
        "service_account": {
            "type": "service_account",
            "project_id": "acme-gcp-project",
            "private_key_id": "0123456789abcdef0123456789abcdef01234567",
            "private_key": rsa.pkcs8,
            "client_email": "billing-reader@acme-gcp-project.iam.gserviceaccount.com",
            "client_id": "112233445566778899001",
            "auth_uri": "https://accounts.google.com/o/oauth2/auth",
            "token_uri": "https://oauth2.googleapis.com/token",
            "universe_domain": "googleapis.com",
        },
    }


def test_text_and_object_seal_the_same_bytes(rsa: Rsa) -> None:
    """`service_account_json` may be the file's text or its object; the bytes are canonical."""
    shuffled = dict(reversed(key_file(rsa).items()))

    assert to_plaintext(Provider.GCP, gcp(rsa)) == to_plaintext(Provider.GCP, {**gcp(rsa), "service_account_json": shuffled})


def test_google_itself_can_use_what_was_sealed(rsa: Rsa) -> None:
    """The executor hands the sealed object to google-auth as it is; without the optional fields too."""
    for file in (gcp(rsa), gcp(rsa, private_key_id=None, client_id=None), gcp(rsa, private_key=rsa.pkcs1)):
        info = json.loads(to_plaintext(Provider.GCP, file))["service_account"]
        identity = service_account.Credentials.from_service_account_info(info)  # type: ignore[no-untyped-call]
        assert identity.service_account_email == "billing-reader@acme-gcp-project.iam.gserviceaccount.com"


@pytest.mark.parametrize("project", ["acme-gcp-project", "abcdef", "a23456789012345678901234567890", "example.com:acme-project"])
def test_project_ids_that_google_issues(rsa: Rsa, project: str) -> None:
    assert json.loads(to_plaintext(Provider.GCP, {**gcp(rsa), "project_id": project}))["project_id"] == project


@pytest.mark.parametrize(
    "project",
    ["abcde", "a" * 31, "Acme-project", "1acme-project", "acme-project-", "acme_project", "acme project", "acme\n-project", "`;--", 7],
)
def test_project_ids_that_google_does_not_issue(rsa: Rsa, project: object) -> None:
    assert refusal({**gcp(rsa), "project_id": project}).field == "credentials.project_id"


@pytest.mark.parametrize("field", ["type", "project_id", "client_email", "private_key"])
@pytest.mark.parametrize("value", [None, "", 7.0, ["x"], {"x": "y"}])
def test_a_key_file_names_what_is_missing_or_no_text(rsa: Rsa, field: str, value: object) -> None:
    assert refusal(gcp(rsa, **{field: value})).field == f"{FILE}.{field}"


def test_a_key_file_without_a_private_key_is_refused_as_such(rsa: Rsa) -> None:
    error = refusal(gcp(rsa, private_key=None))

    assert error.field == f"{FILE}.private_key"
    assert error.message == f"{FILE}.private_key: is required: the key file's RSA private key in PEM; this file has none."


@pytest.mark.parametrize(
    "kind",
    [
        "authorized_user",
        "external_account",
        "impersonated_service_account",
        "gdch_service_account",
        " authorized_user\n",
        "service account",
    ],
)
def test_other_kinds_of_google_credentials_are_refused(rsa: Rsa, kind: str) -> None:
    """An external_account may name a program to run or an address to ask: it must never reach Google's library."""
    error = refusal(gcp(rsa, type=kind))
    assert error.field == f"{FILE}.type"
    assert "service_account" in error.message


def test_private_keys_that_cannot_sign(rsa: Rsa) -> None:
    """Each is named by what it is; two keys at once, text around one, or one so long that checking it would take seconds, are as bad."""
    legacy = rsa.pkcs1.replace("-----\n", "-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n", 1)
    broken = {
        "not a key": "has no line that begins with -----BEGIN",
        rsa.pkcs8[:-200]: "breaks off",
        rsa.pkcs8.replace(rsa.pkcs8[400:420], "A" * 20): "must be an RSA private key",
        rsa.locked: "is locked with a password",
        legacy: "is locked with a password",
        rsa.elliptic: "must be an RSA private key",
        rsa.pkcs8.replace("PRIVATE KEY", "CERTIFICATE"): "is a certificate",
        rsa.pkcs8.replace("PRIVATE KEY", "PUBLIC KEY"): "is the public key",
        rsa.pkcs8.replace("BEGIN", "BEGIN RSA"): "must be an RSA private key",
        rsa.pkcs8 + rsa.pkcs8: "must be an RSA private key",
        "note: keep safe\n" + rsa.pkcs8: "must be an RSA private key",
        rsa.pkcs8.replace("\n", "\n" * 200): "must be an RSA private key",
        "-----BEGIN PRIVATE KEY-----\n\x00\ud800\n-----END PRIVATE KEY-----\n": "must be an RSA private key",
        "[REDACTED]": "has no line that begins with -----BEGIN",
    }
    for key, said in broken.items():
        error = refusal(gcp(rsa, private_key=key))
        assert error.field == f"{FILE}.private_key"
        assert error.message.startswith(f"{FILE}.private_key: {said}")


@pytest.mark.parametrize(
    ("broken", "mended"),
    [
        ("\n", "\\n"),
        ("\n", "\\\\n"),
        ("\n", "\\r\\n"),
        ("\n", "\r\n"),
        ("\n", "\r"),
        ("\n", " "),
        ("\n", ""),
        ("\n", "\n\n"),
        ("\n", "\n    "),
        ("-----BEGIN", "\ufeff-----BEGIN"),
        ("-----BEGIN", '"-----BEGIN'),
    ],
)
def test_line_breaks_that_have_suffered_are_mended(rsa: Rsa, broken: str, mended: str) -> None:
    """What is sealed is the key as Google issued it, whatever a shell, Terraform or a form made of its line breaks."""
    for key in (rsa.pkcs8, rsa.pkcs1):
        suffered = key.replace(broken, mended) + ('"' if mended.startswith('"') else "")
        assert to_plaintext(Provider.GCP, gcp(rsa, private_key=suffered)) == to_plaintext(Provider.GCP, gcp(rsa, private_key=key))


def base64_of(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


WRAPPED: dict[str, Callable[[str], str]] = {
    "byte order mark": lambda text: f"\ufeff{text}",
    "byte order mark misread": lambda text: f"\u00ef\u00bb\u00bf{text}",
    "white space": lambda text: f"\r\n\t {text}\xa0\r\n",
    "windows line breaks": lambda text: json.dumps(json.loads(text), indent=2).replace("\n", "\r\n"),
    "a string of JSON": json.dumps,
    "a string of a string": lambda text: json.dumps(json.dumps(text)),
    "a string with a mark inside": lambda text: json.dumps(f"\ufeff{text}"),
    "escaped, without its quotes": lambda text: json.dumps(text)[1:-1],
    "in single quotes": lambda text: f"'{text}'",
    "in double quotes": lambda text: f'"{text}"',
    "real line breaks in the key": lambda text: text.replace("\\n", "\n"),
    "escaped twice": lambda text: text.replace("\\n", "\\\\n"),
    "Base64": base64_of,
    "Base64 in lines": lambda text: base64.encodebytes(text.encode()).decode(),
    "Base64 for URLs": lambda text: base64.urlsafe_b64encode(f"\ufeff{text}".encode()).decode().rstrip("="),
    "Base64 of a string": lambda text: base64_of(json.dumps(text)),
    "Base64 of UTF-16 with its mark": lambda text: base64.b64encode(text.encode("utf-16")).decode(),
    "Base64 of UTF-16": lambda text: base64.b64encode(text.encode("utf-16-le")).decode(),
    "Base64 of UTF-16, the other way round": lambda text: base64.b64encode(text.encode("utf-16-be")).decode(),
    "Markdown": lambda text: f"```json\n{json.dumps(json.loads(text), indent=2)}\n```\n",
    "Markdown without its language": lambda text: f"~~~\r\n{text}\r\n~~~",
    "Markdown in a line": lambda text: f"```{text}```",
    "Markdown without its end": lambda text: f"```json\n{text}",
    "Markdown of Base64": lambda text: f"```\n{base64_of(text)}\n```",
    ".env": lambda text: f"GOOGLE_CREDENTIALS={text}",
    ".env in quotes": lambda text: f'GOOGLE_CREDENTIALS = "{text}"\n',
    ".env, escaped": lambda text: f"KEY={json.dumps(text)}",
    ".env in Base64": lambda text: f"KEY={base64_of(text + ' ')}",
    "shell": lambda text: f"export GOOGLE_CREDENTIALS='{text}'",
    "PowerShell": lambda text: f"$env:GOOGLE_CREDENTIALS = '{text}'",
    "Markdown of a shell": lambda text: f"```sh\nexport KEY='{text}'\n```",
    "array of one": lambda text: f"[{text}]",
    "array of one string": lambda text: json.dumps([text]),
    "a browser's data URL": lambda text: f"data:application/json;base64,{base64_of(text)}",
}


@pytest.mark.parametrize("wrap", WRAPPED.values(), ids=WRAPPED)
def test_a_key_file_is_read_out_of_what_tools_make_of_it(rsa: Rsa, wrap: Callable[[str], str]) -> None:
    sent = gcp(rsa)
    assert to_plaintext(Provider.GCP, {**sent, "service_account_json": wrap(sent["service_account_json"])}) == to_plaintext(
        Provider.GCP, sent
    )


NO_KEY_FILES: dict[str, tuple[Callable[[str], str], str]] = {
    "private key alone": (lambda text: json.loads(text)["private_key"], "is a private key alone"),
    "its name": (lambda _: "/home/alice/keys/acme-gcp-project-0123.json", "is the name of a file"),
    "Python's print": (lambda text: str(json.loads(text)), "has single quotes"),
    "word processor": (lambda text: text.replace('"', "\u201c"), "has typographic quotes"),
    "cut off": (lambda text: text[:-40], "breaks off"),
    "P12": (lambda _: base64.b64encode(bytes(range(128, 256))).decode(), "is Base64, but of no key file"),
    "two files": (lambda text: f"{text}\n{text}", "holds more than one JSON object"),
    "two files with a comma": (lambda text: f"{text}, {text}", "holds more than one JSON object"),
    "array of two": (lambda text: f"[{text}, {text}]", "is a list of more than one"),
    "comma after the last field": (lambda text: f"{text[:-1]},\n}}", "has a comma at its end"),
    "comma after the brace": (lambda text: f"{text},\n", "has a comma at its end"),
    "comma in an array": (lambda text: f"[{text},]", "has a comma at its end"),
    "comma in Markdown": (lambda text: f"```json\n{text[:-1]},}}\n```", "has a comma at its end"),
    "more text": (lambda text: f"{text} # keep safe", "has more text after its closing brace"),
    "UTF-16 as Latin-1": (lambda text: text.encode("utf-16").decode("latin-1"), "is UTF-16"),
    "UTF-16 as ASCII": (lambda text: text.encode("utf-16-be").decode("ascii"), "is UTF-16"),
    "UTF-16 as UTF-8": (lambda text: text.encode("utf-16").decode("utf-8", "replace"), "is UTF-16"),
    "UTF-8 as UTF-16": (lambda text: text.encode().decode("utf-16-le", "replace"), "is UTF-16"),
    "answer of the API": (lambda text: json.dumps({"privateKeyData": base64_of(text)}), "is the answer of Google's API"),
    "wrapped without end": (lambda text: json.dumps(json.dumps(json.dumps(json.dumps(text)))), "must be the key file's JSON object"),
}


@pytest.mark.parametrize(("make", "said"), NO_KEY_FILES.values(), ids=NO_KEY_FILES)
def test_what_is_no_key_file_is_named(rsa: Rsa, make: Callable[[str], str], said: str) -> None:
    sent = gcp(rsa)
    error = refusal({**sent, "service_account_json": make(sent["service_account_json"])})
    assert error.field == FILE
    assert error.message.startswith(f"{FILE}: {said}")
    assert error.__context__ is None
    assert [word for word in ("BEGIN PRIVATE", "acme", "gserviceaccount", "keep safe") if word in error.message] == []


def test_an_array_of_one_object_is_read(rsa: Rsa) -> None:
    assert to_plaintext(Provider.GCP, {**gcp(rsa), "service_account_json": [key_file(rsa)]}) == to_plaintext(Provider.GCP, gcp(rsa))


@pytest.mark.parametrize("text", ["```x{}y", "{{}}{}y", "KEY={}y", "export {}y", '{{"a": 1}}{},{}', "[{{}},{}", "{{,{}y"])
def test_white_space_without_end_is_refused_at_once(rsa: Rsa, text: str) -> None:
    began = time.process_time()
    assert refusal({**gcp(rsa), "service_account_json": text.format(" " * 60_000, " " * 60_000) + "y"}).field == FILE
    assert time.process_time() - began < 1


def test_a_key_that_stands_twice_is_named(rsa: Rsa) -> None:
    """A parser would take the last one in silence."""
    sent = gcp(rsa)
    for name, field in (("client_email", f"{FILE}.client_email"), ("-----BEGIN", FILE)):
        text = sent["service_account_json"].replace("{", f'{{"{name}": "x", "{name}": "y", ', 1)
        error = refusal({**sent, "service_account_json": text})
        assert (error.field, error.__context__) == (field, None)
        assert "BEGIN" not in error.message


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"universe_domain": "s3nsapis.fr"}, "universe_domain"),
        ({"universe_domain": "s3nsapis.fr", "client_email": "b@p.s3ns.iam.gserviceaccount.com", "project_id": "s3ns:p"}, "universe_domain"),
        ({"universe_domain": "googleapis.com.evil.example"}, "universe_domain"),
        ({"universe_domain": ["googleapis.com"]}, "universe_domain"),
        ({"universe_domain": None, "client_email": "b@p.s3ns.iam.gserviceaccount.com"}, "client_email"),
        ({"client_email": "b@p.eu0.iam.gserviceaccount.com"}, "client_email"),
        ({"client_email": "alice@example.com"}, "client_email"),
        ({"client_email": "b@p.iam.gserviceaccount.com.evil.example"}, "client_email"),
        ({"token_uri": "https://oauth2.s3nsapis.fr/token"}, "token_uri"),
        ({"token_uri": "https://evil.example/token"}, "token_uri"),
        ({"token_uri": "https://googleapis.com.evil.example/token"}, "token_uri"),
        ({"token_uri": "https://evil.example/.googleapis.com/token"}, "token_uri"),
        ({"token_uri": "http://oauth2.googleapis.com/token"}, "token_uri"),
        ({"auth_uri": "https://evil@accounts.google.com/o/oauth2/auth"}, "auth_uri"),
    ],
)
def test_another_google_is_refused_and_not_replaced_in_silence(rsa: Rsa, changes: dict[str, Any], field: str) -> None:
    error = refusal(gcp(rsa, **changes))
    assert error.field == f"{FILE}.{field}"
    assert "evil" not in error.message
    assert "s3ns" not in error.message
    if field == "universe_domain":
        assert "only googleapis.com is served" in error.message


@pytest.mark.parametrize(
    "changes",
    [
        {"universe_domain": "googleapis.com"},
        {"universe_domain": ""},
        {"universe_domain": " GoogleAPIs.com\n"},
        {"universe_domain": None, "token_uri": None},
        {"token_uri": "https://www.googleapis.com/oauth2/v4/token"},
        {"client_email": "reader@acme-project.example.com.iam.gserviceaccount.com"},
        {"client_email": "123456789012-compute@developer.gserviceaccount.com"},
        {"client_email": "acme-gcp-project@appspot.gserviceaccount.com"},
        {
            "type": "service_account\n",
            "client_email": " reader@acme-gcp-project.iam.gserviceaccount.com\n",
            "project_id": '"acme-gcp-project"',
        },
    ],
)
def test_key_files_of_googles_public_cloud(rsa: Rsa, changes: dict[str, Any]) -> None:
    sealed = json.loads(to_plaintext(Provider.GCP, gcp(rsa, **changes)))["service_account"]
    assert (sealed["universe_domain"], sealed["token_uri"]) == ("googleapis.com", "https://oauth2.googleapis.com/token")
    assert (sealed["type"], sealed["project_id"]) == ("service_account", "acme-gcp-project")
    assert sealed["client_email"] == sealed["client_email"].strip()


def test_an_oauth_clients_file_is_named(rsa: Rsa) -> None:
    error = refusal({**gcp(rsa), "service_account_json": {"installed": {"client_id": "x"}}})
    assert error.field == f"{FILE}.type"
    assert "OAuth client" in error.message


@pytest.mark.parametrize(
    "text",
    ["{", "not json", "[1]", '"text"', "null", "7", "[" * 60_000, '{"a":' * 12_000, "9" * 60_000, "\x00", None, "", 7.0, True, ["x"]],
)
def test_malformed_key_files(rsa: Rsa, text: object) -> None:
    """Text that is no JSON object, however deep or long, is named; the parser's own words, which quote it, are not passed on."""
    error = refusal({**gcp(rsa), "service_account_json": text})

    assert error.field == FILE
    assert error.__context__ is None


def test_unknown_keys_are_refused_by_name(rsa: Rsa) -> None:
    error = refusal({**gcp(rsa), "projectid": "x"})

    assert error.field == "credentials.projectid"
    assert "project_id, service_account_email, service_account_json, workload_identity_provider" in error.message


def test_a_secret_in_the_place_of_a_key_is_not_repeated(rsa: Rsa) -> None:
    error = refusal({**gcp(rsa), rsa.pkcs8: "x"})

    assert error.field == "credentials"
    assert "PRIVATE" not in error.message
