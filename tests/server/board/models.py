import secrets
import uuid

from django.conf import settings
from django.db import models


class Task(models.Model):
    title = models.CharField(max_length=50)
    done = models.BooleanField(default=False)
    priority = models.IntegerField(default=0)

    class Meta:
        ordering = ["pk"]


class Memo(models.Model):
    text = models.CharField(max_length=200)
    task = models.ForeignKey(Task, on_delete=models.CASCADE, null=True, blank=True)

    class Meta:
        ordering = ["pk"]


class Gadget(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=50)

    class Meta:
        ordering = ["name"]


class Row(models.Model):
    label = models.CharField(max_length=50)

    class Meta:
        ordering = ["pk"]


class Ticket(models.Model):
    """Authenticates one connection, and is deleted then. See `board/tickets.py`."""

    key = models.CharField(max_length=43, primary_key=True, default=secrets.token_urlsafe)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
