"""Tickets: a user with a token gets one over HTTP, and opens one WebSocket connection with it.

Queries end up in the logs of servers and proxies. A token in a log can be misused; a ticket can't,
since it is valid only once.
"""

from urllib.parse import parse_qs

from channels.db import database_sync_to_async
from django.contrib.auth.models import AnonymousUser

from board.models import Ticket


class TicketAuthentication:
    """Sets scope["user"] from `?ticket=KEY`, or to AnonymousUser without a valid ticket."""

    def __init__(self, application):
        self.application = application

    async def __call__(self, scope, receive, send):
        query = parse_qs(scope["query_string"].decode())
        user = await redeem(query.get("ticket", [""])[0])
        return await self.application({**scope, "user": user}, receive, send)


@database_sync_to_async
def redeem(key):
    ticket = Ticket.objects.select_related("user").filter(key=key).first()
    # If two connections use the same ticket, only one of them deletes the row.
    if ticket and Ticket.objects.filter(key=key).delete()[0]:
        return ticket.user
    return AnonymousUser()
