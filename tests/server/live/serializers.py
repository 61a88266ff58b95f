from rest_framework.serializers import ModelSerializer

from live.models import Article, Entry, Issue, Note, Post, Sensor


class NoteSerializer(ModelSerializer):
    class Meta:
        model = Note
        fields = ["id", "title", "updated_at"]


class PostSerializer(ModelSerializer):
    class Meta:
        model = Post
        fields = ["id", "title", "updated_at"]


class IssueSerializer(ModelSerializer):
    class Meta:
        model = Issue
        fields = ["id", "project", "title", "updated_at"]


class SensorSerializer(ModelSerializer):
    class Meta:
        model = Sensor
        fields = ["id", "title", "updated_at"]


class EntrySerializer(ModelSerializer):
    class Meta:
        model = Entry
        fields = ["id", "title", "updated_at"]


class ArticleSerializer(ModelSerializer):
    class Meta:
        model = Article
        fields = ["id", "slug", "title", "updated_at"]
