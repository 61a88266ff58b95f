"""Named points at which a write or a list waits until a test releases it.

Holds belong to this process: another worker or a restarted server does not know them.
"""

import asyncio
from contextlib import suppress

from asgiref.sync import async_to_sync
from rest_framework.exceptions import NotFound

HOLDS = {}
# By model, oldest first: each holds one list.
LIST_HOLDS = {}


class Hold:
    """A point that is left when it is released, or after `seconds`."""

    def __init__(self, seconds):
        self.seconds = seconds
        self.reached = asyncio.Event()
        self.released = asyncio.Event()
        self.left = asyncio.Event()
        # The task that does what comes after the point, if it is not a list.
        self.writer = None

    async def wait(self):
        self.reached.set()
        with suppress(TimeoutError):
            await asyncio.wait_for(self.released.wait(), self.seconds)
        self.left.set()

    def wait_in_thread(self):
        async_to_sync(self.wait)()

    async def release(self):
        """Returns once the writer has committed and sent its events, or the list has gone on."""
        self.released.set()
        await (self.writer or self.left.wait())


def add(name, seconds):
    HOLDS[name] = Hold(seconds)
    return HOLDS[name]


def find(name):
    try:
        return HOLDS[name]
    except KeyError:
        raise NotFound(f"There is no hold {name}.") from None


def add_for_list(name, model, seconds):
    LIST_HOLDS.setdefault(model, []).append(add(name, seconds))


async def wait_for_list(model):
    waiting = LIST_HOLDS.get(model)
    if waiting:
        await waiting.pop(0).wait()
