"""Sends mail through the operator's SMTP server."""

import ssl
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Literal, Self

import aiosmtplib

from services.executor.notify.notification import Notification
from services.executor.notify.responses import NotDelivered, judge_reply
from services.executor.settings import ExecutorSettings


@dataclass(frozen=True, kw_only=True, slots=True)
class MailServer:
    """The operator's SMTP server."""

    host: str
    port: int
    tls: Literal["starttls", "tls", "none"]
    sender: str
    user: str | None
    password: str | None = field(repr=False)

    @classmethod
    def of(cls, settings: ExecutorSettings) -> Self | None:
        """From the settings; None without a host."""
        if not settings.notify_smtp_host:
            return None
        return cls(
            host=settings.notify_smtp_host,
            port=settings.notify_smtp_port,
            tls=settings.notify_smtp_tls,
            sender=settings.notify_smtp_from,
            user=settings.notify_smtp_user or None,
            password=settings.notify_smtp_password.get_secret_value() if settings.notify_smtp_password else None,
        )


class Mailer:
    """Sends one mail on a connection of its own."""

    def __init__(self, server: MailServer | None, tls: ssl.SSLContext) -> None:
        self._server, self._tls = server, tls

    async def send(self, notification: Notification) -> str:
        """Returns the server's host once it has accepted the mail. Raises NotDelivered. The caller sets the timeout."""
        server = self._server
        if server is None:
            raise NotDelivered("no_mail_server", again=False)
        encrypted = server.tls != "none"
        try:
            mail = compose(notification, server.sender)
            await aiosmtplib.send(
                mail,
                sender=server.sender,
                recipients=[notification.to],
                hostname=server.host,
                local_hostname=server.sender.rpartition("@")[2],  # otherwise aiosmtplib looks up this machine's name
                port=server.port,
                username=server.user,
                password=server.password,
                use_tls=server.tls == "tls",
                start_tls=server.tls == "starttls",
                tls_context=self._tls if encrypted else None,
                timeout=None,
            )
        except aiosmtplib.SMTPRecipientsRefused as error:
            raise _of_reply(max(one.code for one in error.recipients), server) from None
        except aiosmtplib.SMTPResponseException as error:
            raise _of_reply(error.code, server) from None
        except OSError as error:
            # Not reached, disconnected or timed out: aiosmtplib's own errors for these are OSErrors, too.
            raise NotDelivered(type(error).__name__, again=True, host=server.host) from None
        except (aiosmtplib.SMTPException, ValueError) as error:
            # No STARTTLS, no AUTH, or an invalid header: a retry would not help.
            raise NotDelivered(type(error).__name__, again=False, host=server.host) from None
        return server.host


def compose(notification: Notification, sender: str) -> EmailMessage:
    """The message. Raises ValueError for a line break in a header: the policy refuses it."""
    mail = EmailMessage(policy=SMTP)
    mail["From"], mail["To"], mail["Subject"] = sender, notification.to, notification.subject
    mail["Date"] = format_datetime(notification.report.reported_at)
    # The same id for all tries: a server that accepted the first may drop the second.
    mail["Message-ID"] = f"<{notification.id}@{sender.rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: stops out-of-office replies
    mail.set_content(notification.text)
    return mail


def _of_reply(code: int, server: MailServer) -> NotDelivered:
    failure = judge_reply(code)
    failure.host = server.host
    return failure
