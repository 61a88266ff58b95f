"""The streams that stand on a model."""

import asyncio

from djangochannelsrestframework.decorators import action
from djangochannelsrestframework.generics import GenericAsyncAPIConsumer
from djangochannelsrestframework.mixins import (
    CreateModelMixin,
    DeleteModelMixin,
    ListModelMixin,
    PaginatedModelListMixin,
    PatchModelMixin,
    StreamedPaginatedListMixin,
    UpdateModelMixin,
)
from djangochannelsrestframework.observer import model_observer
from djangochannelsrestframework.observer.generics import ObserverModelInstanceMixin
from djangochannelsrestframework.pagination import WebsocketLimitOffsetPagination
from djangochannelsrestframework.permissions import IsAuthenticated

from board.models import Gadget, Memo, Row, Task
from board.permissions import NoUpdates
from board.serializers import GadgetSerializer, MemoSerializer, RowSerializer, TaskSerializer

EVENT_STATUS = {"create": 201, "update": 200, "delete": 204}


class ModelConsumer(
    ListModelMixin,
    CreateModelMixin,
    UpdateModelMixin,
    PatchModelMixin,
    DeleteModelMixin,
    ObserverModelInstanceMixin,
    GenericAsyncAPIConsumer,
):
    """All actions on a model. `retrieve` comes with ObserverModelInstanceMixin."""

    async def send_event(self, data, action, request_ids):
        """One frame per subscription: the request id is how a client finds the subscriber."""
        for request_id in request_ids:
            await self.reply(
                action=action, data=data, status=EVENT_STATUS[action], request_id=request_id
            )


# An observer's identity is its module and its method's name, without the class, so that two
# observers of one name in this file would share their groups. Each has a name of its own.


class TaskConsumer(ModelConsumer):
    queryset = Task.objects.all()
    serializer_class = TaskSerializer

    @model_observer(Task, serializer_class=TaskSerializer)
    async def task_change(self, message, action, subscribing_request_ids=(), **kwargs):
        await self.send_event(message, action, subscribing_request_ids)

    @action()
    async def subscribe_all(self, request_id, **kwargs):
        await self.task_change.subscribe(request_id=request_id)
        return None, 201

    @action()
    async def unsubscribe_all(self, request_id=None, **kwargs):
        await self.task_change.unsubscribe(request_id=request_id)
        return None, 204

    @action(detached=True)
    async def subscribe_late_reply(self, request_id, delay=0.5, **kwargs):
        """The same feed, acknowledged after `delay` seconds: events can come first."""
        await self.task_change.subscribe(request_id=request_id)
        await asyncio.sleep(delay)
        return {"subscribed": True}, 201

    @action()
    async def unsubscribe_late_reply(self, request_id=None, **kwargs):
        await self.task_change.unsubscribe(request_id=request_id)
        return None, 204

    @model_observer(Task, serializer_class=TaskSerializer)
    async def task_priority_change(self, message, action, subscribing_request_ids=(), **kwargs):
        await self.send_event(message, action, subscribing_request_ids)

    @task_priority_change.groups_for_signal
    def task_priority_change(self, instance, **kwargs):
        yield f"priority__{instance.priority}"

    @task_priority_change.groups_for_consumer
    def task_priority_change(self, priority, **kwargs):
        yield f"priority__{priority}"

    @action()
    async def subscribe_priority(self, request_id, priority, **kwargs):
        """The tasks of one priority; one that changes its priority leaves as a delete."""
        await self.task_priority_change.subscribe(request_id=request_id, priority=priority)
        return None, 201

    @action()
    async def unsubscribe_priority(self, priority, request_id=None, **kwargs):
        await self.task_priority_change.unsubscribe(request_id=request_id, priority=priority)
        return None, 204


class PrivateTaskConsumer(TaskConsumer):
    """Connects anybody, and answers 403 to each action of somebody unknown."""

    permission_classes = [IsAuthenticated]


class GuardedTaskConsumer(ObserverModelInstanceMixin, GenericAsyncAPIConsumer):
    queryset = Task.objects.all()
    serializer_class = TaskSerializer
    permission_classes = [NoUpdates]


class MemoConsumer(ModelConsumer):
    queryset = Memo.objects.all()
    serializer_class = MemoSerializer

    @model_observer(Memo, serializer_class=MemoSerializer)
    async def memo_change(self, message, action, subscribing_request_ids=(), **kwargs):
        await self.send_event(message, action, subscribing_request_ids)

    @action()
    async def subscribe_all(self, request_id, **kwargs):
        await self.memo_change.subscribe(request_id=request_id)
        return None, 201

    @action()
    async def unsubscribe_all(self, request_id=None, **kwargs):
        await self.memo_change.unsubscribe(request_id=request_id)
        return None, 204


class DocsFeedConsumer(GenericAsyncAPIConsumer):
    """A feed written as in DCRF's documentation: events without data, and no reply to subscribe."""

    queryset = Memo.objects.all()
    serializer_class = MemoSerializer

    @model_observer(Memo)
    async def memo_activity(self, message, action, subscribing_request_ids=(), **kwargs):
        for request_id in subscribing_request_ids:
            await self.send_json({"message": message, "action": action, "request_id": request_id})

    @action()
    async def subscribe_all(self, request_id, **kwargs):
        await self.memo_activity.subscribe(request_id=request_id)

    @action()
    async def unsubscribe_all(self, request_id=None, **kwargs):
        await self.memo_activity.unsubscribe(request_id=request_id)


class GadgetConsumer(ModelConsumer):
    queryset = Gadget.objects.all()
    serializer_class = GadgetSerializer

    @model_observer(Gadget)
    async def gadget_change(self, message, action, subscribing_request_ids=(), **kwargs):
        """Without a serializer the body is `{"pk": …}`; without a status every event says 200."""
        for request_id in subscribing_request_ids:
            await self.reply(action=action, data=message, request_id=request_id)

    @action()
    async def subscribe_all(self, request_id, **kwargs):
        await self.gadget_change.subscribe(request_id=request_id)
        return None, 201

    @action()
    async def unsubscribe_all(self, request_id=None, **kwargs):
        await self.gadget_change.unsubscribe(request_id=request_id)
        return None, 204


class RowPagination(WebsocketLimitOffsetPagination):
    default_limit = 3


class RowPagesConsumer(PaginatedModelListMixin, GenericAsyncAPIConsumer):
    """Answers `list` with one page, chosen by `limit` and `offset`."""

    queryset = Row.objects.all()
    serializer_class = RowSerializer
    pagination_class = RowPagination


class RowStreamConsumer(StreamedPaginatedListMixin, GenericAsyncAPIConsumer):
    """Answers `list` with all pages, one frame each, under one request id."""

    queryset = Row.objects.all()
    serializer_class = RowSerializer
    pagination_class = RowPagination
