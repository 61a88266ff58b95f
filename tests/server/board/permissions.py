import asyncio
from urllib.parse import parse_qs

from djangochannelsrestframework.permissions import BasePermission


class NoUpdates(BasePermission):
    """Allows everything except `update`.

    DCRF also checks this before it delivers an update event. The client then gets a 403 with a null
    request id, and the event anyway.
    """

    async def has_permission(self, scope, consumer, action, **kwargs):
        return action != "update"


class SlowToConnect(BasePermission):
    """Accepts every connection after `?delay=` seconds (default 0.5)."""

    async def can_connect(self, scope, consumer, message=None):
        query = parse_qs(scope["query_string"].decode())
        await asyncio.sleep(float(query.get("delay", ["0.5"])[0]))
        return True

    async def has_permission(self, scope, consumer, action, **kwargs):
        return True
