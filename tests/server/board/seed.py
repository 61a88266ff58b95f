"""The initial rows of a database."""

from uuid import UUID

from django.contrib.auth.models import User
from django.core.management.color import no_style
from django.db import connection, transaction
from rest_framework.authtoken.models import Token

from board.models import Gadget, Memo, Row, Task
from live.seed import initial_rows as live_rows


def initial_rows():
    return {
        Task: [Task(title=f"task {n}", priority=n) for n in range(1, 6)],
        Memo: [Memo(text=f"memo {n}") for n in range(1, 4)],
        Gadget: [
            Gadget(id=UUID(int=n), name=name) for n, name in enumerate(["anvil", "bell"], start=1)
        ],
        Row: [Row(label=f"row {n}") for n in range(1, 9)],
        **live_rows(),
    }


@transaction.atomic
def seed():
    for model, rows in initial_rows().items():
        model.objects.bulk_create(rows)
    alice = User.objects.create_user("alice", password="wonderland")
    Token.objects.create(user=alice, key="tok-alice")


@transaction.atomic
def reset(names):
    """Brings the rows of these models back, with their keys and without events."""
    rows = {
        model: rows for model, rows in initial_rows().items() if model._meta.model_name in names
    }
    tables = [model._meta.db_table for model in rows]
    # New rows get the same keys as in a new database.
    for statement in connection.ops.sql_flush(no_style(), tables, reset_sequences=True):
        connection.cursor().execute(statement)
    for model, initial in rows.items():
        model.objects.bulk_create(initial)
