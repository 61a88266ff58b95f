"""The consumer of each path."""

from channels.security.websocket import AllowedHostsOriginValidator
from channelsmultiplexer import AsyncJsonWebsocketDemultiplexer
from django.urls import path

from board.connections import (
    ConnectCrashConsumer,
    DenyConsumer,
    Gate,
    KickConsumer,
    is_authenticated,
)
from board.consumers import (
    DocsFeedConsumer,
    GadgetConsumer,
    GuardedTaskConsumer,
    MemoConsumer,
    PrivateTaskConsumer,
    RowPagesConsumer,
    RowStreamConsumer,
    TaskConsumer,
)
from board.permissions import SlowToConnect
from board.tickets import TicketAuthentication
from board.tools import ToolsConsumer
from live.routing import STREAMS as LIVE_STREAMS

SUBPROTOCOL = "dcrf"

# Each value is `Consumer.as_asgi()`: the multiplexer calls it for each connection, and each call
# creates a consumer. A plain `Consumer()` would be shared by all connections.
STREAMS = {
    "tasks": TaskConsumer.as_asgi(),
    "memos": MemoConsumer.as_asgi(),
    "docs_feed": DocsFeedConsumer.as_asgi(),
    "gadgets": GadgetConsumer.as_asgi(),
    "row_pages": RowPagesConsumer.as_asgi(),
    "row_stream": RowStreamConsumer.as_asgi(),
    "tools": ToolsConsumer.as_asgi(),
    "private": PrivateTaskConsumer.as_asgi(),
    "guarded": GuardedTaskConsumer.as_asgi(),
    **LIVE_STREAMS,
}


class Demultiplexer(AsyncJsonWebsocketDemultiplexer):
    applications = STREAMS

    async def accept(self, subprotocol=None, headers=None):
        """Selects `dcrf` if it is offered. By default Channels selects no subprotocol."""
        if SUBPROTOCOL in self.scope["subprotocols"]:
            subprotocol = SUBPROTOCOL
        await super().accept(subprotocol, headers)

    async def connection_close(self, message, stream_name):
        """Lets a stream close the connection. Its `websocket.close` ends only the stream."""
        await self.close(code=message["code"], reason=message["reason"])


class LateTools(ToolsConsumer):
    permission_classes = [SlowToConnect]


class LateDemultiplexer(Demultiplexer):
    """Opens when `tasks` accepts. A frame to `late` before that accepts ends the connection."""

    # Not passed to as_asgi(): the multiplexer would store it in a dictionary that all
    # demultiplexers share.
    applications = {"tasks": STREAMS["tasks"], "late": LateTools.as_asgi()}


demultiplexer = Demultiplexer.as_asgi()
authenticated = Gate(is_authenticated, demultiplexer)

websocket_urlpatterns = [
    path("ws/", demultiplexer),
    path("ws/authenticated/", authenticated),
    path("ws/ticket/", TicketAuthentication(authenticated)),
    path("ws/origin/", AllowedHostsOriginValidator(demultiplexer)),
    path("ws/late/", LateDemultiplexer.as_asgi()),
    path("ws/deny/", DenyConsumer.as_asgi()),
    path("ws/connectcrash/", ConnectCrashConsumer.as_asgi()),
    path("ws/kick/<int:code>/", KickConsumer.as_asgi()),
    *(path(f"ws/bare/{stream}/", consumer) for stream, consumer in STREAMS.items()),
]
