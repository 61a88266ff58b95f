import asyncio
from urllib.parse import parse_qs

from djangochannelsrestframework.permissions import BasePermission


class NoUpdates(BasePermission):
    """Allows everything but `update`.

    DCRF also asks when it delivers an update event: the client then gets a 403 with a null request
    id, and the event all the same.
    """

    async def has_permission(self, scope, consumer, action, **kwargs):
        return action != "update"


class SlowToConnect(BasePermission):
    """Lets everybody in, `?delay=` seconds late (0.5 where the query has none)."""

    async def can_connect(self, scope, consumer, message=None):
        query = parse_qs(scope["query_string"].decode())
        await asyncio.sleep(float(query.get("delay", ["0.5"])[0]))
        return True

    async def has_permission(self, scope, consumer, action, **kwargs):
        return True
