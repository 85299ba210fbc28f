"""One try to deliver one notification."""

import json

from services.executor.notify.destinations import Targets
from services.executor.notify.https import Poster
from services.executor.notify.mail import Mailer
from services.executor.notify.notification import Kind, Notification
from services.executor.notify.signature import sign
from services.platform.clock import Clock


class Delivery:
    """Knows what each kind of target is sent."""

    def __init__(self, *, targets: Targets, poster: Poster, mailer: Mailer, clock: Clock) -> None:
        self._targets, self._poster, self._mailer, self._clock = targets, poster, mailer, clock

    async def __call__(self, notification: Notification) -> str:
        """The host that has taken it. Raises NotDelivered. Whoever calls sets the time."""
        if notification.kind is Kind.EMAIL:
            return await self._mailer.send(notification)
        # Opened for each try: a tenant that mends its target is heard.
        target = await self._targets.open(notification.report.tenant_id, notification.kind)
        if notification.kind is Kind.SLACK:
            return await self._poster.post(target.url, json.dumps({"text": notification.text}).encode(), {})
        payload = notification.report.payload()
        payload["data"]["message"] = notification.text
        body = json.dumps(payload).encode()
        now = int(self._clock.now().timestamp())
        headers = sign(target.signing_secret or "", message_id=notification.id, timestamp=now, body=body)
        return await self._poster.post(target.url, body, headers)
