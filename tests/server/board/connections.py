"""Connections that are rejected, crash or are closed at once."""

from urllib.parse import parse_qs

from channels.generic.websocket import AsyncWebsocketConsumer


class DenyConsumer(AsyncWebsocketConsumer):
    """Rejects the handshake; the server responds with 403."""

    async def connect(self):
        await self.close()


class ConnectCrashConsumer(AsyncWebsocketConsumer):
    """Crashes in the handshake; the server responds with 500."""

    async def connect(self):
        raise RuntimeError("this consumer crashes on connect")


class KickConsumer(AsyncWebsocketConsumer):
    """Accepts, and closes at once with the code in the path and `?reason=` in the query."""

    async def connect(self):
        await self.accept()
        query = parse_qs(self.scope["query_string"].decode())
        await self.close(
            code=self.scope["url_route"]["kwargs"]["code"],
            reason=query.get("reason", [None])[0],
        )


class Gate:
    """Middleware that rejects the handshake unless `allows(scope)`."""

    def __init__(self, allows, application):
        self.allows = allows
        self.application = application

    async def __call__(self, scope, receive, send):
        application = self.application if await self.allows(scope) else DenyConsumer.as_asgi()
        return await application(scope, receive, send)


async def is_authenticated(scope):
    return scope["user"].is_authenticated
