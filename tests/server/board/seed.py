"""The initial rows of a database."""

from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction
from rest_framework.authtoken.models import Token

from board.models import Gadget, Memo, Row, Task
from live.seed import seed as seed_live


@transaction.atomic
def seed():
    Task.objects.bulk_create(Task(title=f"task {n}", priority=n) for n in range(1, 6))
    Memo.objects.bulk_create(Memo(text=f"memo {n}") for n in range(1, 4))
    Gadget.objects.bulk_create(
        Gadget(id=UUID(int=n), name=name) for n, name in enumerate(["anvil", "bell"], start=1)
    )
    Row.objects.bulk_create(Row(label=f"row {n}") for n in range(1, 9))
    alice = User.objects.create_user("alice", password="wonderland")
    Token.objects.create(user=alice, key="tok-alice")
    seed_live()
