"""Runs the test server.

Prints `listening on HOST:PORT` once it accepts connections, and logs to stderr. It exits when stdin
closes, so it never outlives the process that started it.
"""

import argparse
import os
import shutil
import ssl
import sys
import threading
from pathlib import Path


def main():
    options = parse_arguments()
    threading.Thread(target=exit_with_stdin, daemon=True).start()
    SERVERS[options.server](options)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 selects a free port")
    parser.add_argument("--uds", help="also listen on this Unix socket (Daphne only)")
    parser.add_argument("--server", choices=SERVERS, default="daphne")
    options = parser.parse_args()
    if options.uds and options.server != "daphne":
        parser.error("--uds needs Daphne")
    return options


def exit_with_stdin():
    # Not sys.stdin: a thread that blocks in its buffer makes the interpreter abort at exit.
    while os.read(0, 4096):
        pass
    if os.environ.get("DCRF_TEST_DISPOSABLE"):
        # The process that would have removed the data is gone.
        shutil.rmtree(os.environ["DCRF_TEST_DATA"], ignore_errors=True)
    os._exit(0)


def serve_with_daphne(options):
    # Import this first: it installs the event loop that Twisted's other modules use.
    from daphne.server import Server  # isort: skip
    from daphne.endpoints import build_endpoint_description_strings
    from twisted.internet import reactor

    if options.uds:
        # A killed server leaves its socket behind.
        Path(options.uds).unlink(missing_ok=True)
    endpoints = build_endpoint_description_strings(
        host=options.host, port=options.port, unix_socket=options.uds
    )
    server = Server(load_application(), endpoints=endpoints)
    reactor.callWhenRunning(lambda: announce(*server.listening_addresses[0]))
    server.run()
    if not server.listening_addresses:
        sys.exit("could not listen")


def serve_with_uvicorn(options):
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets=None):
            await super().startup(sockets)
            announce(*self.servers[0].sockets[0].getsockname()[:2])

    Server(
        uvicorn.Config(
            load_application(),
            host=options.host,
            port=options.port,
            lifespan="off",
            log_config=None,
            # Otherwise a stream that does not end delays the shutdown forever.
            timeout_graceful_shutdown=3,
            **tls(),
        )
    ).run()


def tls():
    """Uvicorn's options for TLS, if the environment names PEM files."""
    certificate = os.environ.get("DCRF_TEST_CERTIFICATE")
    if not certificate:
        return {}
    files = {"ssl_certfile": certificate, "ssl_keyfile": os.environ["DCRF_TEST_KEY"]}
    client_ca = os.environ.get("DCRF_TEST_CLIENT_CA")
    if client_ca:
        # Reject clients without a certificate of this CA.
        files |= {"ssl_ca_certs": client_ca, "ssl_cert_reqs": ssl.CERT_REQUIRED}
    return files


def load_application():
    from django.conf import settings

    from config.asgi import application

    marker = settings.DATA_DIR / "seeded"
    if not marker.exists():
        create_database()
        marker.touch()
    return application


def create_database():
    from django.core.management import call_command

    from board.seed import seed

    call_command("migrate", run_syncdb=True, verbosity=0)
    seed()


def announce(host, port):
    print(f"listening on {host}:{port}", flush=True)


SERVERS = {"daphne": serve_with_daphne, "uvicorn": serve_with_uvicorn}

if __name__ == "__main__":
    main()
