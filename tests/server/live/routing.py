"""The streams of `live`, part of `/ws/`."""

from live.cards import CardConsumer
from live.controls import ControlsConsumer, controlled
from live.forms import (
    AnonymousPostConsumer,
    ArticleConsumer,
    BrokenArticleConsumer,
    IssueConsumer,
    NoteConsumer,
    PostConsumer,
    SensorConsumer,
)
from live.pages import EntriesByCursorConsumer, EntriesByNumberConsumer, EntriesByOffsetConsumer

CONSUMERS = {
    "cards": CardConsumer,
    "notes": NoteConsumer,
    "posts": PostConsumer,
    "anonymous_posts": AnonymousPostConsumer,
    "issues": IssueConsumer,
    "sensors": SensorConsumer,
    "articles": ArticleConsumer,
    "broken_articles": BrokenArticleConsumer,
    "entries_by_offset": EntriesByOffsetConsumer,
    "entries_by_number": EntriesByNumberConsumer,
    "entries_by_cursor": EntriesByCursorConsumer,
}

STREAMS = {name: controlled(consumer).as_asgi() for name, consumer in CONSUMERS.items()} | {
    "controls": ControlsConsumer.as_asgi()
}
