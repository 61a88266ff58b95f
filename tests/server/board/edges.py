"""Connections that end badly, or do not begin."""

from urllib.parse import parse_qs

from channels.generic.websocket import AsyncWebsocketConsumer


class DenyConsumer(AsyncWebsocketConsumer):
    """Refuses the handshake, which servers answer with 403."""

    async def connect(self):
        await self.close()


class ConnectCrashConsumer(AsyncWebsocketConsumer):
    """Crashes in the handshake, which servers answer with 500."""

    async def connect(self):
        raise RuntimeError("this consumer crashes when somebody connects")


class KickConsumer(AsyncWebsocketConsumer):
    """Accepts, and closes at once with the code in the path and the `?reason=` in the query."""

    async def connect(self):
        await self.accept()
        query = parse_qs(self.scope["query_string"].decode())
        await self.close(
            code=self.scope["url_route"]["kwargs"]["code"],
            reason=query.get("reason", [None])[0],
        )


class Gate:
    """Refuses the handshake unless `admits(scope)`; a whole multiplexer stands behind it."""

    def __init__(self, admits, application):
        self.admits = admits
        self.application = application

    async def __call__(self, scope, receive, send):
        application = self.application if await self.admits(scope) else DenyConsumer.as_asgi()
        return await application(scope, receive, send)


async def is_authenticated(scope):
    return scope["user"].is_authenticated
