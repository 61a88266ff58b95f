"""The application: HTTP from Django, WebSockets with the journal and authentication."""

# ruff: noqa: E402

import os

from django.core.asgi import get_asgi_application

os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"

# Consumers import models, which is possible only after this call.
http_application = get_asgi_application()

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings

from board.routing import websocket_urlpatterns
from config.authentication import TokenAuthentication
from config.journal import Journal

application = ProtocolTypeRouter(
    {
        "http": http_application,
        "websocket": Journal(
            AuthMiddlewareStack(TokenAuthentication(URLRouter(websocket_urlpatterns))),
            settings.DATA_DIR / "journal.jsonl",
        ),
    }
)
