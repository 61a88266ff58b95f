"""Measures ASGI servers with `dcrf bench`, and writes a table.

    cargo build --release -p dcrf-cli
    python3 dcrf-cli/benches/servers/run.py measured/

The first run installs the servers in a virtual environment in the folder. Each measurement leaves the JSON and the page with
plots of `dcrf bench` there, and is not repeated while they are there. `--table` only writes the table again. nginx spreads the connections over two Daphnes, which have one
process each; the other servers have workers of their own. A Redis on a port of its own is the channel layer; the in-memory layer
only reaches one process.
"""

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
SERVER = ROOT / "tests" / "server"
PACKAGES = ["hypercorn==0.18.0", "granian==2.8.9"]
PORT, REDIS_PORT = 9410, 9409

#: Each server's command for a port and a number of workers.
SERVERS = {
    "Daphne": lambda port, _: ["daphne", "-v", "0", "-b", "127.0.0.1", "-p", str(port), "config.asgi:application"],
    "Uvicorn": lambda port, workers: [
        *["uvicorn", "config.asgi:application", "--port", str(port), "--workers", str(workers)],
        *["--lifespan", "off", "--log-level", "warning"],
    ],
    "Hypercorn": lambda port, workers: [
        *["hypercorn", "config.asgi:application", "-b", f"127.0.0.1:{port}", "-w", str(workers)],
        *["--log-level", "warning"],
    ],
    "Granian": lambda port, workers: [
        *["granian", "config.asgi:application", "--interface", "asgi", "--port", str(port)],
        *["--workers", str(workers), "--log-level", "warning"],
    ],
}
LAYERS = [("memory", 1), ("Redis", 1), ("Redis", 2)]
#: Writes a second, each to 1,000 subscribers, and requests a second.
WRITES, REQUESTS = [1, 2, 5], [300, 600, 1200]
SUBSCRIBERS, HELD = 1000, 4000


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", choices=SERVERS, help="measures one server")
    parser.add_argument("--table", action="store_true", help="only writes the table")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    if not options.table:
        measure_all(options.folder.resolve(), options.only)
    print_table(options.folder)


def measure_all(folder, only):
    bin_folder = environment(folder)
    dcrf = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release" / "dcrf"
    with running([shutil.which("redis-server"), "--port", str(REDIS_PORT), "--save", ""], REDIS_PORT):
        for layer, workers in LAYERS:
            for name in [only] if only else SERVERS:
                print(f"{name}, {layer}, {workers} worker(s)", file=sys.stderr)
                measure(folder, bin_folder, dcrf, name, layer, workers)


def environment(folder):
    bin_folder = folder / "venv" / "bin"
    if not (bin_folder / "granian").exists():
        subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
        pip = [bin_folder / "python", "-m", "pip", "install", "-q"]
        subprocess.run([*pip, "-r", SERVER / "requirements.in"], check=True)
        subprocess.run([*pip, *PACKAGES], check=True)
    return bin_folder


def measure(folder, bin_folder, dcrf, name, layer, workers):
    data = folder / "data"
    shutil.rmtree(data, ignore_errors=True)
    env = {
        **{key: value for key, value in os.environ.items() if not key.startswith("DCRF_")},
        "PATH": f"{bin_folder}:{os.environ['PATH']}",
        "DCRF_TEST_DATA": str(data),
        "DCRF_TEST_KEEP_DATABASE_OPEN": "1",
        "DCRF_TEST_WITHOUT_JOURNAL": "1",
        "DCRF_TEST_CAPACITY": "10000",
    }
    if layer == "Redis":
        env["DCRF_TEST_REDIS_URL"] = f"redis://127.0.0.1:{REDIS_PORT}"
    create = "from serve import load_application; load_application()"
    subprocess.run([bin_folder / "python", "-c", create], cwd=SERVER, env={**env, "DJANGO_SETTINGS_MODULE": "config.settings"}, check=True)
    stem = folder / f"{name}-{layer}-{workers}"
    for run, arguments in runs():
        report = Path(f"{stem}-{run}.json")
        if report.exists() and report.stat().st_size:
            continue
        # A new server for each, since one that is overloaded takes long to recover.
        with server(folder, name, workers, env) as port:
            bench(dcrf, port, Path(f"{stem}-{run}"), arguments)


def runs():
    yield "held", ["--clients", HELD, "--ramp", "30s", "--for", "3s", "--subscribe", "tasks"]
    subscribed = ["--clients", SUBSCRIBERS, "--ramp", "10s", "--for", "8s", "--subscribe", "tasks"]
    for rate in WRITES:
        yield f"events-{rate}", [*subscribed, "--write", rate, "--write-field", "title"]
    for rate in REQUESTS:
        request = ["--requests", rate, "--request", "retrieve tasks pk:=1"]
        yield f"requests-{rate}", ["--clients", 20, "--ramp", "1s", "--for", "6s", *request]


def bench(dcrf, port, path, arguments):
    command = [dcrf, "bench", "-q", "-o", "json", "--url", f"ws://127.0.0.1:{port}/ws/bare/tasks/", "--bare"]
    files = ["--json", f"{path}.json", "--html", f"{path}.html"]
    done = subprocess.run([*command, *map(str, arguments), *files], capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{path.name}: {done.stderr.strip()}", file=sys.stderr)


class server:
    """A server with its workers, as one port."""

    def __init__(self, folder, name, workers, env):
        self.folder, self.name, self.workers, self.env = folder, name, workers, env
        self.processes = []

    def __enter__(self):
        count = self.workers if self.name == "Daphne" else 1
        ports = [PORT + number for number in range(count)]
        for port in ports:
            command = SERVERS[self.name](port, self.workers)
            self.processes.append(start(command, port, cwd=SERVER, env=self.env))
        if count == 1:
            return PORT
        self.processes.append(self.nginx(ports))
        return PORT + 9

    def nginx(self, ports):
        servers = "".join(f"server 127.0.0.1:{port};" for port in ports)
        config = self.folder / "nginx.conf"
        config.write_text(
            f"daemon off; pid {self.folder}/nginx.pid; error_log stderr error;"
            "worker_rlimit_nofile 20000; events { worker_connections 10000; }"
            f"http {{ access_log off; upstream daphnes {{ {servers} }} server {{ listen 127.0.0.1:{PORT + 9};"
            "location / { proxy_pass http://daphnes; proxy_http_version 1.1; proxy_read_timeout 600s;"
            "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; proxy_set_header Host $host; } } }"
        )
        return start([shutil.which("nginx") or "/usr/sbin/nginx", "-c", str(config)], PORT + 9)

    def __exit__(self, *_):
        for process in self.processes:
            stop(process)


def is_listening(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def start(command, port, **options):
    if is_listening(port):
        sys.exit(f"another program listens on port {port}")
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, **options)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        if is_listening(port):
            return process
        time.sleep(0.1)
    stop(process)
    sys.exit(f"{command[0]} does not listen on port {port}")


def stop(process):
    try:
        os.killpg(process.pid, 9)
    except ProcessLookupError:
        pass
    process.wait()


class running:
    def __init__(self, command, port):
        self.command, self.port = command, port

    def __enter__(self):
        self.process = start(self.command, self.port)

    def __exit__(self, *_):
        stop(self.process)


def print_table(folder):
    """Rows for each server, layer and number of workers."""
    titles = ["server", "layer", "workers", f"of {HELD:,} clients subscribed, dial p50 / p99"]
    titles += [f"{rate * SUBSCRIBERS:,} events/s" for rate in WRITES] + [f"{rate:,} requests/s" for rate in REQUESTS]
    print("| " + " | ".join(titles) + " |")
    print("| --- " * len(titles) + "|")
    for name in SERVERS:
        for layer, workers in LAYERS:
            read = Reports(folder, f"{name}-{layer}-{workers}")
            cells = [name, layer, str(workers), read.held()]
            cells += [read.events(rate) for rate in WRITES] + [read.requests(rate) for rate in REQUESTS]
            print("| " + " | ".join(cells) + " |")


class Reports:
    """The reports of one server."""

    def __init__(self, folder, stem):
        self.folder, self.stem = folder, stem

    def read(self, run):
        path = self.folder / f"{self.stem}-{run}.json"
        text = path.read_text() if path.exists() else ""
        return json.loads(text) if text else None

    def held(self):
        if not (report := self.read("held")):
            return "no report"
        subscribed = report["counts"]["subscribes"]
        return f"{subscribed:,}, {latency(report, 'dial')}"

    def events(self, rate):
        if not (report := self.read(f"events-{rate}")):
            return "no report"
        counts = report["counts"]
        missing = counts["lost_events"] + counts["events_in_gaps"]
        due = counts["writes"] * SUBSCRIBERS
        share = f", {100 * missing / max(due, 1):.0f} % missing" if missing else ""
        return latency(report, "event_from_schedule") + share

    def requests(self, rate):
        if not (report := self.read(f"requests-{rate}")):
            return "no report"
        counts = report["counts"]
        missing = counts["requests"] - counts["replies"]
        share = f", {100 * missing / max(counts['requests'], 1):.0f} % without a reply" if missing else ""
        return latency(report, "request") + share


def latency(report, kind):
    """The median and the 99th percentile."""
    measured = report["latencies"].get(kind)
    if not measured or not measured["count"]:
        return "none"
    return " / ".join(short(measured[percentile]) for percentile in ("p50", "p99"))


def short(milliseconds):
    if milliseconds >= 1000:
        return f"{milliseconds / 1000:.1f} s"
    return f"{milliseconds:.0f} ms" if milliseconds >= 10 else f"{milliseconds:.1f} ms"


if __name__ == "__main__":
    main()
