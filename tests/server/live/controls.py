"""The stream `controls`: writes that stories need and that clients of a real project don't have."""

import asyncio
from copy import copy
from datetime import timedelta

from channels.consumer import get_handler_name
from channels.db import database_sync_to_async
from channels.layers import get_channel_layer
from django.db import transaction
from django.utils import timezone
from djangochannelsrestframework.consumers import AsyncAPIConsumer
from djangochannelsrestframework.decorators import action
from djangochannelsrestframework.observer.model_observer import Action
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.generics import get_object_or_404

from board.seed import reset
from live import holds
from live.cards import CardConsumer, CardSerializer
from live.models import Article, Card, Entry, Issue, Note, Post, Sensor

MODELS = {
    model._meta.model_name: model for model in (Article, Card, Entry, Issue, Note, Post, Sensor)
}

# A long write in DCRF's thread would block all consumers, since they share it for the database.
in_own_thread = database_sync_to_async(lambda function: function(), thread_sensitive=False)


class ControlsConsumer(AsyncAPIConsumer):
    @action()
    def bulk_create(self, model, count, data=None, **kwargs):
        """Rows without events. `data` applies to each."""
        model = find_model(model)
        rows = (model(**{"title": f"row {n}", **(data or {})}) for n in range(1, count + 1))
        return {"pks": [row.pk for row in model.objects.bulk_create(rows)]}, 201

    @action()
    def bulk_update(self, model, data, pks=None, **kwargs):
        """`QuerySet.update`: no events, and `updated_at` stays as it is."""
        return {"changed": rows_of(model, pks).update(**data)}, 200

    @action()
    def raw_delete(self, model, pks=None, **kwargs):
        """Like a `DELETE` in SQL: no events. `QuerySet.delete` would send them."""
        rows = rows_of(model, pks)
        return {"deleted": rows._raw_delete(rows.db)}, 200

    @action()
    def reset(self, models, **kwargs):
        """The rows of these models as in a new database, without events."""
        reset(models)
        return None, 200

    @action()
    async def save_all(self, model, rounds=1, pks=None, **kwargs):
        """Saves each row `rounds` times, as title `change 1` and so on, with an event for each."""
        return {"saved": await in_own_thread(lambda: save_all(model, rounds, pks))}, 200

    @action()
    async def flood(self, rounds, **kwargs):
        """The events of `save_all` on the cards, faster: it saves only the last round, and sends
        the events of each round as one message."""
        layer = get_channel_layer()
        cards = await in_own_thread(lambda: cards_after(rounds))
        for n in range(1, rounds + 1):
            events = await in_own_thread(lambda n=n: events_of_round(cards, n, rounds))
            message = {"type": "events.at.once", "events": events}
            await layer.group_send(events[0]["group"], message)
        return {"sent": rounds * len(cards)}, 200

    @action()
    def save_unloaded(self, model, pk, data, **kwargs):
        """Saves a row that was never loaded, so that the observer does not know its old group."""
        find_model(model)(pk=pk, **data).save(force_update=True)
        return {"pk": pk}, 200

    @action()
    def replace(self, model, pk, data, **kwargs):
        """Deletes a row and creates one with its key, in one transaction."""
        model = find_model(model)
        with transaction.atomic():
            get_object_or_404(model, pk=pk).delete()
            model.objects.create(pk=pk, **data)
        return {"pk": pk}, 200

    @action()
    def reverse(self, model, pk, first, second, **kwargs):
        """Two writes whose events are sent in the opposite order of their commits."""
        with transaction.atomic():
            # The hooks run in order, after the commit. The observer's hook sends the first event.
            transaction.on_commit(lambda: save(model, pk, second))
            save(model, pk, first)
        return {"pk": pk}, 200

    @action()
    async def hold(self, name, model, at, pk=None, data=None, delete=False, seconds=10, **kwargs):
        """Writes a row and waits before the commit, or between the commit and the event."""
        if at not in ("commit", "event"):
            raise ValidationError("`at` is `commit` or `event`.")
        hold = holds.add(name, seconds)
        write = delete_row if delete else save
        hold.writer = asyncio.create_task(
            in_own_thread(lambda: held(hold, at, lambda: write(model, pk, data or {})))
        )
        reached = asyncio.create_task(hold.reached.wait())
        await asyncio.wait((hold.writer, reached), return_when=asyncio.FIRST_COMPLETED)
        if not reached.done():
            reached.cancel()
            # A write that failed before the point.
            await hold.writer
        return {"held": at, "pk": hold.pk}, 200

    @action()
    async def hold_list(self, name, model, seconds=10, **kwargs):
        """Makes the next list of the model wait, after it has read the rows."""
        holds.add_for_list(name, find_model(model), seconds)
        return None, 200

    @action()
    async def reached(self, name, **kwargs):
        """Replies once a list waits at this hold."""
        hold = holds.find(name)
        try:
            await asyncio.wait_for(hold.reached.wait(), hold.seconds)
        except TimeoutError:
            raise ValidationError(f"Nothing reached {name}.") from None
        return None, 200

    @action()
    async def release(self, name, **kwargs):
        await holds.find(name).release()
        return None, 200


def controlled(consumer):
    """A subclass of a consumer, whose lists can be held, and which takes many events at once."""

    @action()
    async def list(self, **kwargs):
        reply = await consumer.list(self, **kwargs)
        await holds.wait_for_list(consumer.queryset.model)
        return reply

    async def events_at_once(self, message):
        for event in message["events"]:
            await getattr(self, get_handler_name(event))(event)

    methods = {"list": list, "events_at_once": events_at_once}
    return type(consumer)(consumer.__name__, (consumer,), methods)


def find_model(name):
    try:
        return MODELS[name]
    except KeyError:
        raise NotFound(f"There is no model {name}.") from None


def rows_of(model, pks):
    rows = find_model(model).objects.all()
    return rows if pks is None else rows.filter(pk__in=pks)


def save(model, pk, data):
    model = find_model(model)
    row = model() if pk is None else get_object_or_404(model, pk=pk)
    for field, value in data.items():
        setattr(row, field, value)
    row.save()
    return row.pk


def delete_row(model, pk, data):
    get_object_or_404(find_model(model), pk=pk).delete()
    return pk


def held(hold, at, write):
    with transaction.atomic():
        if at == "event":
            # Runs after the commit, and before the hook with which the observer sends the event.
            transaction.on_commit(hold.wait_in_thread)
        hold.pk = write()
        if at == "commit":
            hold.wait_in_thread()


def save_all(model, rounds, pks):
    rows = list(rows_of(model, pks))
    for n in range(1, rounds + 1):
        with transaction.atomic():
            for row in rows:
                row.title = f"change {n}"
                row.save()
    return rounds * len(rows)


def cards_after(rounds):
    """All cards as the last round leaves them, saved without events."""
    cards = list(Card.objects.all())
    for card in cards:
        card.title = f"change {rounds}"
        card.updated_at = timezone.now()
    Card.objects.bulk_update(cards, ["title", "updated_at"])
    return cards


def events_of_round(cards, n, rounds):
    """What the observer sends when each card is saved once more."""
    observer = CardConsumer.card_change
    # A copy of each card, so that the last version stays as it is.
    cards = [copy(card) for card in cards]
    for card in cards:
        card.title = f"change {n}"
        card.updated_at -= timedelta(microseconds=rounds - n)
    # The groups are the same for all cards, and one serializer for all of them is much faster.
    groups = set(observer.group_names_for_signal(instance=cards[0]))
    [event] = observer.generate_messages(cards[0], groups, groups, Action.UPDATE)
    return [{**event, "body": body} for body in CardSerializer(cards, many=True).data]
