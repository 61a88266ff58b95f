"""The same list in pages of each form, with one feed."""

from djangochannelsrestframework.decorators import action
from djangochannelsrestframework.mixins import PaginatedModelListMixin
from djangochannelsrestframework.observer import model_observer
from djangochannelsrestframework.pagination import WebsocketLimitOffsetPagination

from board.consumers import ModelConsumer
from live.models import Entry
from live.pagination import WebsocketCursorPagination, WebsocketPageNumberPagination
from live.serializers import EntrySerializer

PAGE_SIZE = 20
LARGEST_PAGE = 1000


class EntryConsumer(PaginatedModelListMixin, ModelConsumer):
    queryset = Entry.objects.all()
    serializer_class = EntrySerializer

    @model_observer(Entry, serializer_class=EntrySerializer)
    async def entry_change(self, message, action, subscribing_request_ids=(), **kwargs):
        await self.send_event(message, action, subscribing_request_ids)

    @action()
    async def subscribe_all(self, request_id, **kwargs):
        await self.entry_change.subscribe(request_id=request_id)
        return None, 201

    @action()
    async def unsubscribe_all(self, request_id=None, **kwargs):
        await self.entry_change.unsubscribe(request_id=request_id)
        return None, 204


class ByOffset(WebsocketLimitOffsetPagination):
    default_limit = PAGE_SIZE
    max_limit = LARGEST_PAGE


class ByNumber(WebsocketPageNumberPagination):
    page_size = PAGE_SIZE
    page_size_query_param = "page_size"
    max_page_size = LARGEST_PAGE


class ByCursor(WebsocketCursorPagination):
    page_size = PAGE_SIZE
    page_size_query_param = "page_size"
    max_page_size = LARGEST_PAGE
    # Unique, and never changes. Rows that change their position can be missed.
    ordering = "pk"


class EntriesByOffsetConsumer(EntryConsumer):
    pagination_class = ByOffset


class EntriesByNumberConsumer(EntryConsumer):
    pagination_class = ByNumber


class EntriesByCursorConsumer(EntryConsumer):
    pagination_class = ByCursor
