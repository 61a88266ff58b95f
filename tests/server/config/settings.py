"""Settings of the test server. Everything it writes goes to the folder in DCRF_TEST_DATA."""

import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(os.environ.get("DCRF_TEST_DATA", BASE_DIR / "data"))
DATA_DIR.mkdir(parents=True, exist_ok=True)
REDIS_URL = os.environ.get("DCRF_TEST_REDIS_URL")

SECRET_KEY = "only for tests"
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "[::1]"]
ROOT_URLCONF = "config.urls"
USE_TZ = True

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "rest_framework.authtoken",
    "channels",
    "board",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]

# A test starts a server in less time than the migrations would take, so that the tables are made
# straight from the models (`migrate --run-syncdb`).
MIGRATION_MODULES = {
    "auth": None,
    "authtoken": None,
    "contenttypes": None,
    "sessions": None,
}
# A real hash takes a good part of a second, and the passwords here guard nothing.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATA_DIR / "db.sqlite3",
        "OPTIONS": {
            # Consumers write from several threads, and from several processes with Redis. A writer
            # that takes its lock at the start waits for the others; one that upgrades later fails.
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;",
        },
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

if REDIS_URL:
    CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.core.RedisChannelLayer",
            "CONFIG": {
                # A consumer waits up to 5 s for its next event, which is also how long redis-py waits for
                # any answer: without this, an idle connection dies of the race between the two.
                "hosts": [{"address": REDIS_URL, "socket_timeout": None}],
                # All connections of a worker share one queue, and what does not fit is dropped without a word.
                "capacity": 20_000,
            },
        }
    }
else:
    CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    # A StreamHandler writes to stderr; stdout is for the one line that says where the server is.
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
}
