"""The initial rows of `live`."""

from live.models import Article, Card, Entry, Issue, Note, Post, Sensor


def initial_rows():
    rows = {
        model: [model(title=f"{model._meta.model_name} {n}") for n in range(1, 4)]
        for model in (Card, Note, Post, Sensor)
    }
    rows[Issue] = [
        Issue(title=f"issue {n}", project=project)
        for n, project in enumerate([1, 1, 2, 2], start=1)
    ]
    rows[Article] = [Article(title=f"article {n}", slug=f"article-{n}") for n in range(1, 4)]
    rows[Entry] = [Entry(title=f"entry {n}") for n in range(1, 101)]
    return rows
