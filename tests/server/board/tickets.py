"""Tickets: who is signed in gets one over HTTP, and opens one WebSocket connection with it.

A query ends up in the logs of servers and proxies. A token is worth something to whoever reads it
there; a ticket that has opened its connection is not.
"""

from urllib.parse import parse_qs

from channels.db import database_sync_to_async
from django.contrib.auth.models import AnonymousUser

from board.models import Ticket


class TicketAuthentication:
    """Sets scope["user"] from `?ticket=KEY`, and to nobody without a ticket that is still good."""

    def __init__(self, application):
        self.application = application

    async def __call__(self, scope, receive, send):
        query = parse_qs(scope["query_string"].decode())
        user = await redeem(query.get("ticket", [""])[0])
        return await self.application({**scope, "user": user}, receive, send)


@database_sync_to_async
def redeem(key):
    ticket = Ticket.objects.select_related("user").filter(key=key).first()
    # Of two connections with one ticket, one deletes a row.
    if ticket and Ticket.objects.filter(key=key).delete()[0]:
        return ticket.user
    return AnonymousUser()
