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

websocket_application = AuthMiddlewareStack(TokenAuthentication(URLRouter(websocket_urlpatterns)))
if not os.environ.get("DCRF_TEST_WITHOUT_JOURNAL"):
    websocket_application = Journal(websocket_application, settings.DATA_DIR / "journal.jsonl")

application = ProtocolTypeRouter({"http": http_application, "websocket": websocket_application})
