"""One try to deliver one notification."""

import json

from services.executor.notify.destinations import Destinations
from services.executor.notify.https import Poster
from services.executor.notify.mail import Mailer
from services.executor.notify.notification import Notification, NotificationKind
from services.executor.notify.responses import Attempt
from services.executor.notify.signature import sign
from services.platform.clock import Clock


class Delivery:
    """Sends each kind of notification."""

    def __init__(self, *, destinations: Destinations, poster: Poster, mailer: Mailer, clock: Clock) -> None:
        self._destinations, self._poster, self._mailer, self._clock = destinations, poster, mailer, clock

    async def __call__(self, notification: Notification, attempt: Attempt) -> str:
        """Tries once. Returns the host that accepted it; `attempt` is filled in. Raises NotDelivered. The caller sets the timeout."""
        if notification.kind is NotificationKind.EMAIL:
            return await self._mailer.send(notification)
        # Opened for each try, so that a corrected target takes effect.
        destination = await self._destinations.open(notification.report.tenant_id, notification.kind)
        attempt.set_at = destination.set_at
        if notification.kind is NotificationKind.SLACK:
            return await self._poster.post(destination.url, json.dumps({"text": notification.text}).encode(), {}, attempt)
        payload = notification.report.payload()
        payload["data"]["message"] = notification.text
        body = json.dumps(payload).encode()
        now = int(self._clock.now().timestamp())
        headers = sign(destination.signing_secret or "", message_id=notification.id, timestamp=now, body=body)
        return await self._poster.post(destination.url, body, headers, attempt)
