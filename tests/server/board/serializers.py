from rest_framework import serializers

from board.models import Gadget, Memo, Row, Task


class TaskSerializer(serializers.ModelSerializer):
    """Calls the primary key `pk`, as DCRF's delete events do."""

    class Meta:
        model = Task
        fields = ["pk", "title", "done", "priority"]


class MemoSerializer(serializers.ModelSerializer):
    """Calls the primary key `id`, as most projects do. Delete events still call it `pk`."""

    class Meta:
        model = Memo
        fields = ["id", "text", "task"]


class GadgetSerializer(serializers.ModelSerializer):
    class Meta:
        model = Gadget
        fields = ["id", "name"]


class RowSerializer(serializers.ModelSerializer):
    class Meta:
        model = Row
        fields = ["id", "label"]
