"""The recommended form of a live list: a feed with the same serializer as the list."""

from django.db import transaction
from djangochannelsrestframework.decorators import action
from djangochannelsrestframework.generics import GenericAsyncAPIConsumer
from djangochannelsrestframework.mixins import (
    CreateModelMixin,
    DeleteModelMixin,
    ListModelMixin,
    PatchModelMixin,
    UpdateModelMixin,
)
from djangochannelsrestframework.observer import model_observer
from djangochannelsrestframework.observer.generics import ObserverModelInstanceMixin
from rest_framework.generics import get_object_or_404
from rest_framework.serializers import ModelSerializer

from live.models import Card

EVENT_STATUS = {"create": 201, "update": 200, "delete": 204}


class CardSerializer(ModelSerializer):
    class Meta:
        model = Card
        fields = ["id", "title", "updated_at"]


class CardConsumer(
    ListModelMixin,
    CreateModelMixin,
    UpdateModelMixin,
    PatchModelMixin,
    DeleteModelMixin,
    ObserverModelInstanceMixin,
    GenericAsyncAPIConsumer,
):
    queryset = Card.objects.all()
    serializer_class = CardSerializer

    @model_observer(Card, serializer_class=CardSerializer)
    async def card_change(self, message, action, subscribing_request_ids=(), **kwargs):
        for request_id in subscribing_request_ids:
            await self.reply(
                action=action, data=message, status=EVENT_STATUS[action], request_id=request_id
            )

    @action()
    async def subscribe_all(self, request_id, **kwargs):
        await self.card_change.subscribe(request_id=request_id)
        return None, 201

    @action()
    async def unsubscribe_all(self, request_id=None, **kwargs):
        await self.card_change.unsubscribe(request_id=request_id)
        return None, 204

    def perform_update(self, serializer, **kwargs):
        """Locks the row before `auto_now` reads the clock, so that `updated_at` only grows."""
        with transaction.atomic():
            rows = Card.objects.select_for_update()
            serializer.instance = get_object_or_404(rows, pk=serializer.instance.pk)
            serializer.save()

    perform_patch = perform_update
