"""Settings of the tests: the real ones with a fast password hasher and plain static files."""

import os

os.environ.setdefault("SECRET_KEY", "tests-" + "0" * 40)

from labeling_platform.settings import *  # noqa: F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}  # noqa: F405
EMBEDDER = "fast"
SECURE_SSL_REDIRECT = False
ALLOWED_HOSTS = ["*"]
# Tests of the second factor switch it on; the others sign in with a password alone.
STAFF_NEEDS_SECOND_FACTOR = False
