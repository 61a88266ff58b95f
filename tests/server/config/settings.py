"""Settings of the test server, which writes only to the folder DCRF_TEST_DATA."""

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
# Times in UTC with all digits. Clients can compare such texts, also when the clocks change.
TIME_ZONE = "UTC"
REST_FRAMEWORK = {"DATETIME_FORMAT": "%Y-%m-%dT%H:%M:%S.%fZ"}

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "rest_framework.authtoken",
    "channels",
    "board",
    "live",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]

# Migrations would take longer than the start of the server. Without them, `migrate --run-syncdb`
# creates the tables directly from the models.
MIGRATION_MODULES = {
    "auth": None,
    "authtoken": None,
    "contenttypes": None,
    "sessions": None,
}
# A secure hash is slow, and these passwords protect nothing.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATA_DIR / "db.sqlite3",
        # By default Channels opens a connection for each action. Many short calls are faster without.
        "CONN_MAX_AGE": None if os.environ.get("DCRF_TEST_KEEP_DATABASE_OPEN") else 0,
        "OPTIONS": {
            # Consumers write from several threads, and with Redis from several processes. A writer
            # that locks at the start waits for others; one that upgrades its lock later fails.
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
                # A consumer waits 5 s for its next event. By default redis-py times out after 5 s
                # too, and the race between the two would end idle connections.
                "hosts": [{"address": REDIS_URL, "socket_timeout": None}],
                # All connections of a worker share one queue. Messages beyond its capacity are
                # silently dropped.
                "capacity": 20_000,
            },
        }
    }
else:
    CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels.layers.InMemoryChannelLayer",
            # Events beyond this many that wait for one stream of a connection are silently dropped.
            "CONFIG": {"capacity": int(os.environ.get("DCRF_TEST_CAPACITY", "100"))},
        }
    }

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    # A StreamHandler writes to stderr. stdout is for the line with the server's address.
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
}
