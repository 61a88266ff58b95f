"""A model for each form of a live list, so that a change is an event of one feed only."""

import secrets

from django.db import models


class Record(models.Model):
    title = models.CharField(max_length=100)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        abstract = True
        ordering = ["pk"]

    def __str__(self):
        return self.title


class Card(Record):
    """The recommended form."""


class Note(Record):
    """A feed of keys only."""


class Post(Record):
    """Feeds as in DCRF's documentation."""


class Issue(Record):
    """A feed for each project. An issue can move to another project."""

    project = models.IntegerField(default=1)


class Sensor(Record):
    """No feed: clients subscribe to instances."""


class Entry(Record):
    """Lists in pages."""


def new_slug():
    return secrets.token_hex(8)


class Article(Record):
    """Looked up by its slug."""

    slug = models.SlugField(unique=True, default=new_slug)
