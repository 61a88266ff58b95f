"""Token authentication for WebSockets, in addition to AuthMiddlewareStack's session cookie."""

from urllib.parse import parse_qs

from channels.db import database_sync_to_async
from rest_framework.authtoken.models import Token

SUBPROTOCOL_PREFIX = "token."


class TokenAuthentication:
    """Sets scope["user"] from a valid token, and otherwise leaves it unchanged.

    The token is in the query (`?token=KEY`), a header (`Authorization: Token KEY`) or an offered
    subprotocol (`token.KEY`), for browsers, which cannot set headers.
    """

    def __init__(self, application):
        self.application = application

    async def __call__(self, scope, receive, send):
        key = token_of(scope)
        if key:
            user = await user_of(key)
            if user:
                scope = {**scope, "user": user}
        return await self.application(scope, receive, send)


def token_of(scope):
    for key in parse_qs(scope["query_string"].decode()).get("token", []):
        return key
    for name, value in scope["headers"]:
        if name == b"authorization" and value.startswith(b"Token "):
            return value.removeprefix(b"Token ").decode("latin-1")
    for subprotocol in scope.get("subprotocols", []):
        if subprotocol.startswith(SUBPROTOCOL_PREFIX):
            return subprotocol.removeprefix(SUBPROTOCOL_PREFIX)
    return None


@database_sync_to_async
def user_of(key):
    token = Token.objects.select_related("user").filter(key=key).first()
    return token and token.user
