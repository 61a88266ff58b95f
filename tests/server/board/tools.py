"""A stream without a model, whose actions reply in every way that an action can."""

import asyncio

from djangochannelsrestframework.consumers import AsyncAPIConsumer
from djangochannelsrestframework.decorators import action
from rest_framework.exceptions import NotFound, PermissionDenied, ValidationError

FAILURES = {
    "dict": lambda: ValidationError({"field": ["bad value"]}),
    "list": lambda: ValidationError(["first", "second"]),
    "str": lambda: ValidationError("plain"),
    "404": lambda: NotFound("no such thing"),
    "403": lambda: PermissionDenied("not for you"),
}


class ToolsConsumer(AsyncAPIConsumer):
    @action()
    async def echo(self, action, request_id=None, **kwargs):
        return kwargs, 200

    @action()
    def echo_sync(self, action, request_id=None, **kwargs):
        """The same as a synchronous method, which runs in a thread."""
        return kwargs, 200

    @action(detached=True)
    async def slow(self, seconds, **kwargs):
        """Detached: other actions of this stream overtake it."""
        await asyncio.sleep(seconds)
        return {"slept": seconds}, 200

    @action()
    async def slow_inline(self, seconds, **kwargs):
        """Not detached: this stream handles nothing else meanwhile."""
        await asyncio.sleep(seconds)
        return {"slept": seconds}, 200

    @action()
    async def mute(self, **kwargs):
        """Returns nothing, so there is no reply."""

    @action()
    async def fail(self, kind, **kwargs):
        raise FAILURES[kind]()

    @action()
    async def crash(self, **kwargs):
        """Any other exception ends the whole connection."""
        raise RuntimeError("crash was called")

    @action()
    async def status(self, code, data=None, **kwargs):
        """Replies with any status and without errors."""
        return data, code

    @action()
    async def push(self, count, **kwargs):
        """Sends unsolicited messages without action or request id, then the reply."""
        for n in range(count):
            await self.send_json({"type": "tick", "n": n})
        return {"pushed": count}, 200

    @action()
    async def nan(self, **kwargs):
        """Values that Python's json writes although JSON forbids them or may not preserve them."""
        return {
            "nan": float("nan"),
            "infinity": float("inf"),
            "big": 2**63 + 1,
            "text": "é\u2028😀",
        }, 200

    @action()
    async def big(self, size, **kwargs):
        """Replies with `size` characters of data."""
        return "x" * size, 200

    @action()
    async def whoami(self, **kwargs):
        return {
            "user": str(self.scope["user"]),
            "subprotocols": self.scope["subprotocols"],
            "path": self.scope["path"],
            "query": self.scope["query_string"].decode(),
        }, 200

    @action()
    async def hangup(self, code=None, **kwargs):
        """Closes only this stream if multiplexed. The next frame to it ends the connection."""
        await self.close(code=code)

    @action()
    async def kick(self, code, reason=None, **kwargs):
        """Closes the whole connection, multiplexed or not."""
        if "demultiplexer_cls" in self.scope:
            await self.base_send({"type": "connection.close", "code": code, "reason": reason})
        else:
            await self.close(code=code, reason=reason)
