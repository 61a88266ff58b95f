"""The initial rows of `live`."""

from live.models import Article, Card, Entry, Issue, Note, Post, Sensor


def seed():
    for model in (Card, Note, Post, Sensor):
        name = model._meta.model_name
        model.objects.bulk_create(model(title=f"{name} {n}") for n in range(1, 4))
    Issue.objects.bulk_create(
        Issue(title=f"issue {n}", project=project)
        for n, project in enumerate([1, 1, 2, 2], start=1)
    )
    Article.objects.bulk_create(
        Article(title=f"article {n}", slug=f"article-{n}") for n in range(1, 4)
    )
    Entry.objects.bulk_create(Entry(title=f"entry {n}") for n in range(1, 101))
