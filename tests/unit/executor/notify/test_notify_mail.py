"""Mail through a real SMTP server: encrypted, with a login, one recipient, and no header injection."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any, Literal

import pytest
import trustme
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword
from pydantic import SecretStr, ValidationError

from services.executor.notify.mail import Mailer, MailServer, compose
from services.executor.notify.notification import NotificationKind
from services.executor.notify.responses import NotDelivered
from services.executor.settings import ExecutorSettings
from tests.support.executor.notify_targets import notification, trusting

MAIL = notification(kind=NotificationKind.EMAIL, to="ops@example.com", text="It worked: 3 rows. Grüße")


@dataclass(kw_only=True)
class Post:
    """What an SMTP server has taken."""

    port: int = 0
    replies: list[str] = field(default_factory=list)
    """To RCPT, one after the other; then it takes what comes."""
    taken: list[tuple[str | None, list[str], EmailMessage]] = field(default_factory=list)

    async def handle_RCPT(self, server: Any, session: Any, envelope: Envelope, address: str, options: list[str]) -> str:
        if self.replies:
            return self.replies.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        mail = message_from_bytes(envelope.content, policy=default)
        assert isinstance(mail, EmailMessage)
        self.taken.append((envelope.mail_from, envelope.rcpt_tos, mail))
        return "250 OK"


def login(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
    return AuthResult(success=isinstance(data, LoginPassword) and data == LoginPassword(b"relay", b"pass phrase"), handled=False)


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@asynccontextmanager
async def post_office(ca: trustme.CA, *, tls: Literal["starttls", "tls", "none"] = "starttls", **options: Any) -> AsyncIterator[Post]:
    context, post = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), Post()
    ca.issue_cert("localhost").configure_cert(context)
    loop = asyncio.get_running_loop()
    if tls == "starttls":
        options |= {"tls_context": context, "require_starttls": True}
    made = list[SMTP]()

    def make() -> SMTP:
        made.append(SMTP(post, loop=loop, hostname="localhost", **options))
        return made[-1]

    server = await loop.create_server(make, "localhost", 0, ssl=context if tls == "tls" else None)
    post.port = server.sockets[0].getsockname()[1]
    try:
        yield post
    finally:
        server.close()


def mail_server(post: Post, **changes: Any) -> MailServer:
    plain = MailServer(host="localhost", port=post.port, tls="starttls", sender="runs@example.org", user=None, password=None)
    return replace(plain, **changes)


async def refusal(server: MailServer | None, ca: trustme.CA) -> NotDelivered:
    with pytest.raises(NotDelivered) as caught:
        await Mailer(server, trusting(ca)).send(MAIL)
    return caught.value


@pytest.mark.parametrize("tls", ["starttls", "tls"])
async def test_mail_arrives_encrypted(ca: trustme.CA, tls: Literal["starttls", "tls"]) -> None:
    async with post_office(ca, tls=tls) as post:
        assert await Mailer(mail_server(post, tls=tls), trusting(ca)).send(MAIL) == "localhost"
    [(sender, recipients, mail)] = post.taken
    assert (sender, recipients) == ("runs@example.org", ["ops@example.com"])
    assert (mail["From"], mail["To"], mail["Subject"]) == ("runs@example.org", "ops@example.com", "gcp-cost-billing COMPLETED")
    assert (mail["Message-ID"], mail["Auto-Submitted"]) == ("<one@example.org>", "auto-generated")
    assert mail.get_content().strip() == "It worked: 3 rows. Grüße"


async def test_the_login_is_used_once_encrypted(ca: trustme.CA) -> None:
    async with post_office(ca, auth_required=True, authenticator=login) as post:
        await Mailer(mail_server(post, user="relay", password="pass phrase"), trusting(ca)).send(MAIL)
        failure = await refusal(mail_server(post, user="relay", password="another"), ca)
    assert (len(post.taken), failure.reason, failure.again) == (1, "answered_535", False)


async def test_a_server_without_encryption_is_refused(ca: trustme.CA) -> None:
    """No STARTTLS, or a certificate of somebody unknown: nothing is sent, unless the operator has said that nothing is encrypted."""
    async with post_office(ca, tls="none") as post:
        failure = await refusal(mail_server(post), ca)
        assert (failure.again, post.taken) == (False, [])
        await Mailer(mail_server(post, tls="none"), trusting(ca)).send(MAIL)
        assert len(post.taken) == 1
    async with post_office(trustme.CA()) as unknown:
        await refusal(mail_server(unknown), ca)
        assert unknown.taken == []


@pytest.mark.parametrize(("reply", "again"), [("450 try later", True), ("550 no such mailbox", False)])
async def test_a_refused_recipient_is_tried_again_where_that_helps(ca: trustme.CA, reply: str, again: bool) -> None:
    async with post_office(ca) as post:
        post.replies.append(reply)
        failure = await refusal(mail_server(post), ca)
        assert (failure.reason, failure.again, failure.host) == (f"answered_{reply[:3]}", again, "localhost")
        await Mailer(mail_server(post), trusting(ca)).send(MAIL)


async def test_no_server_there(ca: trustme.CA) -> None:
    async with post_office(ca) as post:
        pass
    failure = await refusal(mail_server(post), ca)
    assert (failure.reason, failure.again) == ("SMTPConnectError", True)
    assert (await refusal(None, ca)).reason == "no_mail_server"


@pytest.mark.parametrize("header", ["a\r\nBcc: everybody@example.com", "a\nb", "a\rb"])
async def test_no_header_can_be_smuggled_in(ca: trustme.CA, header: str) -> None:
    """The steps make one line of a subject and check the address; even if they did not, nothing would be sent."""
    async with post_office(ca) as post:
        for bad in (replace(MAIL, subject=header), replace(MAIL, to=header)):
            with pytest.raises(ValueError, match=r".+"):
                compose(bad, "runs@example.org")
            with pytest.raises(NotDelivered) as caught:
                await Mailer(mail_server(post), trusting(ca)).send(bad)
            assert caught.value.again is False
    assert post.taken == []


def test_half_a_mail_server_is_refused_at_the_start() -> None:
    whole = {"notify_smtp_host": "localhost", "notify_smtp_from": "runs@example.org"}
    server = MailServer.of(ExecutorSettings.model_validate(whole | {"notify_smtp_user": "relay", "notify_smtp_password": "pass phrase"}))
    assert server is not None
    assert (server.user, server.password, server.tls) == ("relay", "pass phrase", "starttls")
    assert "pass phrase" not in repr(server)
    assert MailServer.of(ExecutorSettings()) is None
    for lacking in (
        {"notify_smtp_host": "localhost"},
        whole | {"notify_smtp_from": "a b"},
        whole | {"notify_smtp_password": SecretStr("x")},
    ):
        with pytest.raises(ValidationError):
            ExecutorSettings.model_validate(lacking)
