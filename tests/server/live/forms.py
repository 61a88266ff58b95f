"""The other forms of a live list. `live/cards.py` has the recommended one."""

from djangochannelsrestframework.decorators import action
from djangochannelsrestframework.observer import model_observer
from rest_framework.generics import get_object_or_404

from board.consumers import ModelConsumer
from live.models import Article, Issue, Note, Post, Sensor
from live.serializers import (
    ArticleSerializer,
    IssueSerializer,
    NoteSerializer,
    PostSerializer,
    SensorSerializer,
)


class NoteConsumer(ModelConsumer):
    """An event is `{"pk": 7}`, and the client retrieves the row."""

    queryset = Note.objects.all()
    serializer_class = NoteSerializer

    @model_observer(Note)
    async def note_change(self, message, action, subscribing_request_ids=(), **kwargs):
        for request_id in subscribing_request_ids:
            await self.reply(action=action, data=message, request_id=request_id)

    @action()
    async def subscribe_all(self, request_id, **kwargs):
        await self.note_change.subscribe(request_id=request_id)
        return None, 201

    @action()
    async def unsubscribe_all(self, request_id=None, **kwargs):
        await self.note_change.unsubscribe(request_id=request_id)
        return None, 204


class PostConsumer(ModelConsumer):
    """As in DCRF's documentation: events without `data`, and no reply to the subscribe."""

    queryset = Post.objects.all()
    serializer_class = PostSerializer

    @model_observer(Post)
    async def post_change(self, message, action, subscribing_request_ids=(), **kwargs):
        for request_id in subscribing_request_ids:
            await self.send_json({"message": message, "action": action, "request_id": request_id})

    @action()
    async def subscribe_all(self, request_id, **kwargs):
        await self.post_change.subscribe(request_id=request_id)

    @action()
    async def unsubscribe_all(self, request_id=None, **kwargs):
        await self.post_change.unsubscribe(request_id=request_id)


class AnonymousPostConsumer(ModelConsumer):
    """The same without request ids, also as in DCRF's documentation."""

    queryset = Post.objects.all()
    serializer_class = PostSerializer

    @model_observer(Post)
    async def anonymous_post_change(self, message, action, **kwargs):
        await self.send_json({"message": message, "action": action})

    @action()
    async def subscribe_all(self, **kwargs):
        await self.anonymous_post_change.subscribe()

    @action()
    async def unsubscribe_all(self, **kwargs):
        await self.anonymous_post_change.unsubscribe()


class IssueConsumer(ModelConsumer):
    """A feed for each project. An issue that moves leaves one and enters another."""

    queryset = Issue.objects.all()
    serializer_class = IssueSerializer

    def filter_queryset(self, queryset, project=None, **kwargs):
        """With `project`, lists and retrieves only the rows of that feed."""
        return queryset if project is None else queryset.filter(project=project)

    @model_observer(Issue, serializer_class=IssueSerializer)
    async def issue_change(self, message, action, subscribing_request_ids=(), **kwargs):
        await self.send_event(message, action, subscribing_request_ids)

    @issue_change.groups_for_signal
    def issue_change(self, instance, **kwargs):
        yield f"project__{instance.project}"

    @issue_change.groups_for_consumer
    def issue_change(self, project, **kwargs):
        yield f"project__{project}"

    @action()
    async def subscribe_project(self, request_id, project, **kwargs):
        await self.issue_change.subscribe(request_id=request_id, project=project)
        return None, 201

    @action()
    async def unsubscribe_project(self, project, request_id=None, **kwargs):
        await self.issue_change.unsubscribe(request_id=request_id, project=project)
        return None, 204


class SensorConsumer(ModelConsumer):
    """Without a feed. `subscribe_instance` follows one row."""

    queryset = Sensor.objects.all()
    serializer_class = SensorSerializer


class BrokenArticleConsumer(ModelConsumer):
    """With `lookup_field` alone, an update of a subscribed instance ends the connection."""

    queryset = Article.objects.all()
    serializer_class = ArticleSerializer
    lookup_field = "slug"


class ArticleConsumer(ModelConsumer):
    """Looks rows up by `slug`. Its events are those of the recommended form."""

    queryset = Article.objects.all()
    serializer_class = ArticleSerializer
    lookup_field = "slug"

    def get_object(self, **kwargs):
        """Accepts `pk` too: DCRF reads a subscribed instance again by `pk` when it changes."""
        if "slug" not in kwargs and "pk" in kwargs:
            return get_object_or_404(self.get_queryset(), pk=kwargs["pk"])
        return super().get_object(**kwargs)

    @model_observer(Article, serializer_class=ArticleSerializer)
    async def article_change(self, message, action, subscribing_request_ids=(), **kwargs):
        await self.send_event(message, action, subscribing_request_ids)

    @action()
    async def subscribe_all(self, request_id, **kwargs):
        await self.article_change.subscribe(request_id=request_id)
        return None, 201

    @action()
    async def unsubscribe_all(self, request_id=None, **kwargs):
        await self.article_change.unsubscribe(request_id=request_id)
        return None, 204
