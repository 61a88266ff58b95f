import uuid

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
    """A ticket that opened a connection, and so opens no other one."""

    key = models.CharField(max_length=200, primary_key=True)
