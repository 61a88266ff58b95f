"""The streams of models."""

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
    """All actions on a model. ObserverModelInstanceMixin provides `retrieve`."""

    async def send_event(self, data, action, request_ids):
        """Sends a frame per subscription. The client finds the subscriber by the request id."""
        for request_id in request_ids:
            await self.reply(
                action=action, data=data, status=EVENT_STATUS[action], request_id=request_id
            )


# An observer is identified by its module and its method's name, without the class. Two observers
# with the same name in this file would share their groups, so each has a unique name.


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
        """The same feed, acknowledged after `delay` seconds, so that events can arrive first."""
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
        """The tasks with one priority. A task that changes its priority leaves with a delete."""
        await self.task_priority_change.subscribe(request_id=request_id, priority=priority)
        return None, 201

    @action()
    async def unsubscribe_priority(self, priority, request_id=None, **kwargs):
        await self.task_priority_change.unsubscribe(request_id=request_id, priority=priority)
        return None, 204


class PrivateTaskConsumer(TaskConsumer):
    """Accepts every connection, but replies to actions of anonymous users with 403."""

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
    """A feed as in DCRF's documentation: events without data, and no reply to the subscribe."""

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
        """Without a serializer the data is `{"pk": …}`. Without a status it is always 200."""
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
    """Replies to `list` with one page, selected by `limit` and `offset`."""

    queryset = Row.objects.all()
    serializer_class = RowSerializer
    pagination_class = RowPagination


class RowStreamConsumer(StreamedPaginatedListMixin, GenericAsyncAPIConsumer):
    """Replies to `list` with all pages: a frame for each, all with the same request id."""

    queryset = Row.objects.all()
    serializer_class = RowSerializer
    pagination_class = RowPagination
