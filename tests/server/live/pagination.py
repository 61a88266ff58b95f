"""Pages by number and by cursor. DCRF itself has only pages by limit and offset.

These classes give Django REST Framework's paginators the signature of DCRF's. Their arguments are
fields of the payload. A WebSocket has no URL to link to, so `next` and `previous` are the `page` or
the `cursor` to request, or null.
"""

from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

from rest_framework.pagination import CursorPagination, PageNumberPagination


def request_with(arguments):
    """What the paginators read of an HTTP request, where each parameter is text."""
    given = {name: str(value) for name, value in arguments.items() if value is not None}
    return SimpleNamespace(query_params=given, build_absolute_uri=lambda: "")


class WebsocketPageNumberPagination(PageNumberPagination):
    def paginate_queryset(self, queryset, scope, view=None, **kwargs):
        return super().paginate_queryset(queryset, request_with(kwargs), view)

    def get_paginated_response(self, data):
        page = self.page
        return {
            "count": page.paginator.count,
            "next": page.next_page_number() if page.has_next() else None,
            "previous": page.previous_page_number() if page.has_previous() else None,
            "results": data,
        }


class WebsocketCursorPagination(CursorPagination):
    def paginate_queryset(self, queryset, scope, view=None, **kwargs):
        return super().paginate_queryset(queryset, request_with(kwargs), view)

    def encode_cursor(self, cursor):
        """The cursor alone, in place of a URL that contains it."""
        url = super().encode_cursor(cursor)
        return parse_qs(urlsplit(url).query)[self.cursor_query_param][0]

    def get_paginated_response(self, data):
        return {
            "next": self.get_next_link(),
            "previous": self.get_previous_link(),
            "results": data,
        }
