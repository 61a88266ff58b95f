"""A record of what the server received, so that tests can check what a client sent."""

import itertools
import json
import os


class Journal:
    """ASGI middleware that appends one JSON line per connect, received frame and disconnect.

    Each line is written before the application sees the message, with a single write(2) to a file
    opened with O_APPEND, so it survives a SIGKILL of this process.
    """

    def __init__(self, application, path):
        self.application = application
        self.file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self.numbers = itertools.count(self.last_connection() + 1)

    async def __call__(self, scope, receive, send):
        connection = next(self.numbers)

        async def recorded_receive():
            message = await receive()
            self.write({"connection": connection, **entry(scope, message)})
            return message

        return await self.application(scope, recorded_receive, send)

    def last_connection(self):
        """The highest number in the file, so that numbers stay unique after a restart."""
        with open(self.file, closefd=False) as lines:
            return max((json.loads(line)["connection"] for line in lines), default=0)

    def write(self, line):
        os.write(self.file, json.dumps(line).encode() + b"\n")


def entry(scope, message):
    match message["type"]:
        case "websocket.connect":
            return {
                "connect": scope["path"],
                "query": scope["query_string"].decode("latin-1"),
                "headers": [
                    [name.decode("latin-1"), value.decode("latin-1")]
                    for name, value in scope["headers"]
                ],
            }
        case "websocket.receive":
            if message.get("text") is not None:
                return {"received": message["text"]}
            return {"binary_len": len(message["bytes"])}
        case "websocket.disconnect":
            # Daphne reports None for a close frame without a code, which is 1005 in ASGI.
            return {"disconnect": message["code"] or 1005}
        case other:
            raise ValueError(f"not a WebSocket message: {other}")
