"""All settings, from the environment, with safe defaults. `.env.example` explains each variable."""

import os
import sys
from datetime import timedelta
from pathlib import Path

import environ
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from django.templatetags.static import static
from django.urls import reverse_lazy

from labeling_platform.lib.environment import Variables, export_files

env = environ.Env()
env.ENVIRON = Variables(os.environ)
export_files("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")  # boto3 reads these itself
BASE_DIR = Path(__file__).resolve().parent.parent

# --- where things are -------------------------------------------------------------------------------
DEBUG = env.bool("DEBUG", default=False)
DATA_DIR = Path(env("DATA_DIR", default=str(BASE_DIR / "var")))
PUBLIC_URL = env("PUBLIC_URL", default="http://127.0.0.1:8000")


def _secret_key() -> str:
    """The signing key from SECRET_KEY or the file SECRET_KEY_FILE names; there is no default on purpose."""
    if key := env("SECRET_KEY", default=""):
        return str(key)
    if DEBUG:
        return "only-for-debugging-" + "0" * 40
    raise ImproperlyConfigured("Set SECRET_KEY or SECRET_KEY_FILE (script/server makes one for you).")


SECRET_KEY = _secret_key()
# Earlier keys: what they signed still counts while the key is being changed.
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
INTERNAL_IPS = ["127.0.0.1"]

# --- applications -------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",
    "unfold.contrib.filters",
    "labeling_platform.console.apps.ConsoleAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django.forms",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "allauth.socialaccount",
    "axes",
    "csp",
    "django_htmx",
    "template_partials",
    "labeling_platform.lib",
    "labeling_platform.ops",
    "labeling_platform.accounts",
    "labeling_platform.accounts.sso",
    "labeling_platform.accounts.sso.saml",
    "models_app",
    "jobs_app",
    "workflows_app",
    "reports_app",
    "labeling_platform.console",
    "labeling_platform.demo",
]
MIDDLEWARE = [
    "labeling_platform.lib.logs.RequestLog",
    "labeling_platform.lib.api.ErrorShape",
    "models_app.vr3.door.InShape",
    "labeling_platform.lib.guards.SecurityHeaders",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "labeling_platform.lib.guards.BodyLimit",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "labeling_platform.accounts.sessions.LastSeen",
    "labeling_platform.accounts.second_factor.SecondFactorOfStaff",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "labeling_platform.urls"
WSGI_APPLICATION = "labeling_platform.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "labeling_platform.accounts.context.navigation",
            ],
        },
    },
]
FORM_RENDERER = "django.forms.renderers.TemplatesSetting"

# --- database -----------------------------------------------------------------------------------------
# DATABASE_URL is the application's role (no superuser, no BYPASSRLS); migrations run as the owner.
DATABASES = {
    "default": env.db_url("DATABASE_URL", default="postgres://labeling_app@localhost/labeling")
    | {
        "ATOMIC_REQUESTS": True,
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
    }
}
# Nobody hears of a machine that vanishes: without these, the database keeps its locks for two hours. Both ends give up
# after half a minute of silence, and nobody may sit in a transaction for 5 minutes.
DATABASES["default"]["OPTIONS"] = {
    "connect_timeout": 10,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
    "options": (
        "-c tcp_keepalives_idle=15 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3 -c tcp_user_timeout=30000"
        " -c idle_in_transaction_session_timeout=300000"
    ),
} | DATABASES["default"].get("OPTIONS", {})
DATABASE_OWNER_URL = env("DATABASE_OWNER_URL", default="")
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- cache, broker, background work -------------------------------------------------------------------
REDIS_URL = env("REDIS_URL", default="redis://localhost:6379/0")
# While Redis is away, its counters are in PostgreSQL (lib/caching.py). A code of an authenticator app works once in the
# 90 seconds that it is good for (MFA_TOTP_TOLERANCE), whatever becomes of Redis meanwhile.
CACHES: dict[str, dict[str, object]] = {
    "default": {
        "BACKEND": "labeling_platform.lib.caching.SteadyCache",
        "LOCATION": REDIS_URL,
        "OPTIONS": {"socket_connect_timeout": 1, "socket_timeout": 2, "kept": {"allauth.mfa.totp.used": 90}},
    }
}

CELERY_BROKER_URL = env("CELERY_BROKER_URL", default=REDIS_URL)
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 900,
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
    "socket_timeout": 10,
    "socket_connect_timeout": 3,
    "health_check_interval": 10,
}
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_SOFT_TIME_LIMIT = 90
CELERY_TASK_TIME_LIMIT = 120
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1}
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = True
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 20
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_SEND_TASK_EVENTS = env.bool("CELERY_EVENTS", default=False)
CELERY_TASK_DEFAULT_QUEUE = "default"
# A queue for each worker, through which it finds out whether it still gets messages; 0: it does not look.
CELERY_WORKER_DIRECT = True
WORKER_SIGN_SECONDS = env.float("WORKER_SIGN_SECONDS", default=15.0)
WORKER_SILENT_SECONDS = env.float("WORKER_SILENT_SECONDS", default=60.0)
CELERY_TASK_ROUTES = {
    "workflows.predict": {"queue": "predict"},
    "models.train": {"queue": "train"},
    "reports.*": {"queue": "reports"},
    # Whatever waits for a service elsewhere (connections), so that a slow one holds up nothing else.
    "workflows.predict_remote": {"queue": "remote"},
    "models.train_remote": {"queue": "remote"},
    "models.evaluate_remote": {"queue": "remote"},
    "models.poll": {"queue": "remote"},
    "models.delete_remote": {"queue": "remote"},
    "models.check_connection": {"queue": "remote"},
    "models.check_for_staff": {"queue": "remote"},
}
CELERY_BEAT_SCHEDULE = {
    "workflows.sweep": {"task": "workflows.sweep", "schedule": 5.0, "options": {"expires": 5}},
    "models.sweep": {"task": "models.sweep", "schedule": 10.0, "options": {"expires": 10}},
    "jobs.sweep": {"task": "jobs.sweep", "schedule": 10.0, "options": {"expires": 10}},
    "ops.sweep": {"task": "ops.sweep", "schedule": 60.0, "options": {"expires": 60}},
    "accounts.sweep": {"task": "accounts.sweep", "schedule": 300.0, "options": {"expires": 300}},
    "console.delete_teams": {"task": "console.delete_teams", "schedule": 60.0, "options": {"expires": 60}},
    "console.collect_usage": {"task": "console.collect_usage", "schedule": 300.0, "options": {"expires": 300}},
    "reports.sweep": {"task": "reports.sweep", "schedule": 30.0, "options": {"expires": 30}},
}

# --- files --------------------------------------------------------------------------------------------
MEDIA_ROOT = DATA_DIR / "files"
S3_BUCKET = env("S3_BUCKET", default="")
S3_ENDPOINT_URL = env("S3_ENDPOINT_URL", default="") or None
S3_REGION = env("S3_REGION", default="") or None
STORAGES: dict[str, dict[str, object]] = {
    "default": {"BACKEND": "labeling_platform.lib.storage.SafeFileStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
if S3_BUCKET:
    STORAGES["default"] = {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {
            "bucket_name": S3_BUCKET,
            "endpoint_url": S3_ENDPOINT_URL,
            "region_name": S3_REGION,
            "default_acl": None,
            "file_overwrite": False,
            "querystring_auth": True,
        },
    }
STATIC_URL = "static/"
STATIC_ROOT = Path(env("STATIC_ROOT", default=str(DATA_DIR / "static")))
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_KEEP_ONLY_HASHED_FILES = False
FILE_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024
CSV_MAX_BYTES = env.int("CSV_MAX_BYTES", default=500 * 1000 * 1000)
CSV_MAX_ROWS = env.int("CSV_MAX_ROWS", default=1_000_000)
EVALUATION_MAX_ROWS = 100

# --- how much a team may use, unless its quota says otherwise (console), and how it is deleted ---------------
QUOTAS = {
    "rows_per_upload": env.int("QUOTA_ROWS_PER_UPLOAD", default=CSV_MAX_ROWS),
    "rows_per_month": env.int("QUOTA_ROWS_PER_MONTH", default=20_000_000),
    "images_per_month": env.int("QUOTA_IMAGES_PER_MONTH", default=200_000),
    "trainings_per_day": env.int("QUOTA_TRAININGS_PER_DAY", default=100),
    "storage_bytes": env.int("QUOTA_STORAGE_BYTES", default=100 * 1000**3),
}
TEAM_DELETION_WAIT = timedelta(days=env.int("TEAM_DELETION_DAYS", default=7))

# --- pictures and the classifier ----------------------------------------------------------------------
# Hosts, host:port or CIDR[:port] entries that the image fetcher may reach although they are private.
IMAGE_FETCH_ALLOW = tuple(env.list("IMAGE_FETCH_ALLOW", default=[]))
IMAGE_S3_BUCKETS = tuple(env.list("IMAGE_S3_BUCKETS", default=[]))
IMAGE_FETCH_THREADS = env.int("IMAGE_FETCH_THREADS", default=16)
IMAGE_FETCH_SECONDS = env.float("IMAGE_FETCH_SECONDS", default=20.0)
CLASSIFIER_BACKENDS = tuple(env.list("CLASSIFIER_BACKENDS", default=["local"]))
# Services (host, or host:port) that connections of the backend "watson" may talk to; none: no connection can be made.
WATSON_HOSTS = tuple(env.list("WATSON_HOSTS", default=[]))
EMBEDDER = env("EMBEDDER", default="balanced")
CLASSIFIER_CACHE_DIR = Path(env("CLASSIFIER_CACHE_DIR", default=str(DATA_DIR / "classifier")))
CLASSIFIER_THREADS = env.int("CLASSIFIER_THREADS", default=1)
PREDICT_CHUNK = env.int("PREDICT_CHUNK", default=32)
LEASE_TIME = timedelta(seconds=env.int("LEASE_SECONDS", default=60))
RETRY_DELAY = timedelta(seconds=env.int("RETRY_SECONDS", default=10))
REPORT_LIFETIME = timedelta(days=7)

# --- people -------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
    "labeling_platform.accounts.console_rights.ConsoleRights",
]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator",
        "OPTIONS": {"user_attributes": ["email", "name"]},
    },
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
SIGNUP_OPEN = env.bool("SIGNUP_OPEN", default=False)
ACCOUNT_ADAPTER = "labeling_platform.accounts.adapter.AccountAdapter"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_LOGOUT_ON_GET = False
ACCOUNT_REAUTHENTICATION_REQUIRED = True
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_DEFAULT_HTTP_PROTOCOL = PUBLIC_URL.split(":")[0]
# Who is reached from outside must not take an address on trust; a try-out on one machine has no mail.
ACCOUNT_EMAIL_VERIFICATION = env("EMAIL_VERIFICATION", default="") or (
    "mandatory" if SIGNUP_OPEN or PUBLIC_URL.startswith("https://") else "optional"
)
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
EMAIL_CONFIG = env.email_url("EMAIL_URL", default="consolemail://")
vars().update(EMAIL_CONFIG)
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env("DEFAULT_FROM_EMAIL", default="labeling@localhost")

# Wrong tries are counted in PostgreSQL for the pair of person and address, so nobody can lock somebody else out.
# allauth slows addresses down on top of it, in the cache; its limit for the second factor is 5 tries in 5 minutes.
TRUSTED_PROXIES = tuple(env.list("TRUSTED_PROXIES", default=[]))
AXES_FAILURE_LIMIT = env.int("SIGN_IN_TRIES", default=10)
AXES_COOLOFF_TIME = timedelta(minutes=env.int("SIGN_IN_LOCK_MINUTES", default=15))
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_USERNAME_CALLABLE = "labeling_platform.accounts.limits.tried_email"
AXES_CLIENT_IP_CALLABLE = "labeling_platform.accounts.limits.counted_address"
AXES_LOCKOUT_CALLABLE = "labeling_platform.accounts.limits.mark_locked"
AXES_SENSITIVE_PARAMETERS = ["username", "ip_address", "login", "credential", "code", "csrfmiddlewaretoken"]
AXES_ENABLE_ADMIN = False
AXES_DISABLE_ACCESS_LOG = True
AXES_VERBOSE = False
_TRIES_OF_ADDRESS = env.int("SIGN_IN_TRIES_OF_ADDRESS", default=30)
ACCOUNT_RATE_LIMITS = {
    "login": "60/m/ip",
    "sign_in_failed": f"{_TRIES_OF_ADDRESS}/m/ip",
}

# --- second factor, sessions, single sign-on ----------------------------------------------------------
STAFF_NEEDS_SECOND_FACTOR = env.bool("STAFF_NEEDS_SECOND_FACTOR", default=True)
MFA_ADAPTER = "labeling_platform.accounts.second_factor.SecondFactorAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_FORMS = {"add_webauthn": "labeling_platform.accounts.second_factor.AddPasskeyForm"}
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_TOTP_ISSUER = "Labeling Platform"
MFA_TOTP_TOLERANCE = 1
USERSESSIONS_TRACK_ACTIVITY = True
SOCIALACCOUNT_ADAPTER = "labeling_platform.accounts.sso.adapter.SignOnAdapter"
SOCIALACCOUNT_EMAIL_AUTHENTICATION = True
SOCIALACCOUNT_EMAIL_AUTHENTICATION_AUTO_CONNECT = True
SOCIALACCOUNT_STORE_TOKENS = False
SSO_EMAIL_DOMAINS = tuple(domain.lower() for domain in env.list("SSO_EMAIL_DOMAINS", default=[]))
SOCIALACCOUNT_PROVIDERS: dict[str, dict[str, object]] = {}
if SSO_OIDC_URL := env("SSO_OIDC_URL", default=""):
    SOCIALACCOUNT_PROVIDERS["sso"] = {
        "APPS": [
            {
                "provider_id": "sso",
                "name": env("SSO_NAME", default="") or "Single sign-on",
                "client_id": env("SSO_OIDC_CLIENT_ID", default=""),
                "secret": env("SSO_OIDC_SECRET", default=""),
                "settings": {"server_url": SSO_OIDC_URL},
            }
        ]
    }
SSO_SAML_ENTITY_ID, SSO_SAML_METADATA = env("SSO_SAML_ENTITY_ID", default=""), env("SSO_SAML_METADATA", default="")
if SSO_SAML_ENTITY_ID or SSO_SAML_METADATA:
    _SAML: dict[str, object] = {
        "metadata": SSO_SAML_METADATA,
        "entity_id": SSO_SAML_ENTITY_ID,
        "url": env("SSO_SAML_URL", default=""),
        "certificate": env("SSO_SAML_CERTIFICATE", default=""),
        "own_entity_id": env("SSO_SAML_OWN_ENTITY_ID", default="")
        or f"{PUBLIC_URL.rstrip('/')}/accounts/sso/saml/metadata/",
        "key": env("SSO_SAML_KEY", default=""),
        "key_certificate": env("SSO_SAML_KEY_CERTIFICATE", default=""),
        "attributes": env.dict("SSO_SAML_ATTRIBUTES", default={}),
    }
    SOCIALACCOUNT_PROVIDERS["saml"] = {
        "APPS": [
            {
                "provider_id": "saml",
                "client_id": "saml",
                "name": env("SSO_SAML_NAME", default="") or "Single sign-on",
                "settings": _SAML,
            }
        ]
    }

# --- security -----------------------------------------------------------------------------------------
HTTPS = PUBLIC_URL.startswith("https://")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
# A browser takes a __Host- cookie over https only, for this host only and all its paths.
SESSION_COOKIE_NAME = "__Host-sessionid" if HTTPS else "sessionid"
CSRF_COOKIE_NAME = "__Host-csrftoken" if HTTPS else "csrftoken"
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = int(timedelta(hours=12).total_seconds())
SESSION_SAVE_EVERY_REQUEST = False
SECURE_SSL_REDIRECT = HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_NUMBER_FIELDS = 1000
# The API that is compatible with Watson Visual Recognition v3 (models_app/vr3). Its limit is that of the service.
VR3_API_ENABLED = env.bool("VR3_API_ENABLED", default=False)
VR3_MAX_BYTES = 256 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FILES = 5
# A request larger than the largest CSV with its form around it is refused before it is read.
REQUEST_MAX_BYTES = max(CSV_MAX_BYTES, VR3_MAX_BYTES if VR3_API_ENABLED else 0) + 1024 * 1024
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:", "blob:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "manifest-src": [SELF],
    }
}

# --- metrics ------------------------------------------------------------------------------------------
METRICS_TOKEN = env("METRICS_TOKEN", default="")

# --- HTTP API -----------------------------------------------------------------------------------------
API_REQUESTS_PER_MINUTE = env.int("API_REQUESTS_PER_MINUTE", default=600)

# --- language, time, logs -----------------------------------------------------------------------------
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = True
LOG_FORMAT = env("LOG_FORMAT", default="") or ("text" if sys.stderr.isatty() else "json")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "text": {
            "()": "labeling_platform.lib.logs.TextLines",
            "format": "%(asctime)s %(levelname)s %(name)s %(message)s",
        },
        "json": {"()": "labeling_platform.lib.logs.JsonLines"},
    },
    "filters": {
        "hide_tokens": {"()": "labeling_platform.lib.logs.HideTokens"},
        "marks": {"()": "labeling_platform.lib.logs.Marks"},
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": LOG_FORMAT,
            "filters": ["hide_tokens", "marks"],
        }
    },
    "loggers": {"axes": {"level": "WARNING"}},
    "root": {"handlers": ["console"], "level": env("LOG_LEVEL", default="INFO")},
}


# --- admin console ------------------------------------------------------------------------------------
def _table(name: str) -> object:
    return reverse_lazy(f"admin:{name}_changelist")


UNFOLD = {
    "SITE_TITLE": "Customer success console",
    "SITE_HEADER": "Customer success",
    "SITE_URL": "/",
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("img/mark.svg")}],
    "STYLES": [lambda request: static("css/console-colors.css"), lambda request: static("css/console.css")],
    "SCRIPTS": [lambda request: static("js/console.js")],
    "SIDEBAR": {
        "show_search": False,
        "show_all_applications": True,
        "navigation": [
            {
                "title": "Customer success",
                "items": [
                    {"title": "Overview", "icon": "monitoring", "link": reverse_lazy("admin:index")},
                    {"title": "Teams", "icon": "groups", "link": reverse_lazy("admin:team_find")},
                    {"title": "Activity log", "icon": "history", "link": reverse_lazy("admin:log")},
                ],
            },
            {
                "title": "Tables",
                "items": [
                    {"title": "Organizations", "icon": "domain", "link": _table("accounts_organization")},
                    {"title": "People", "icon": "person", "link": _table("accounts_user")},
                    {"title": "Models", "icon": "neurology", "link": _table("models_app_custommodel")},
                    {"title": "Trainings", "icon": "model_training", "link": _table("models_app_modelversion")},
                    {"title": "Connections", "icon": "cable", "link": _table("models_app_watsonconnection")},
                    {"title": "Workflows", "icon": "account_tree", "link": _table("workflows_app_workflow")},
                    {"title": "Jobs", "icon": "task", "link": _table("jobs_app_job")},
                    {"title": "Reports", "icon": "table", "link": _table("reports_app_report")},
                ],
            },
        ],
    },
}
