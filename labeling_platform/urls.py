"""The whole map of the site."""

from django.contrib import admin
from django.urls import include, path

from labeling_platform import health, metrics, sample_views
from labeling_platform.accounts.invitation_views import invitation
from labeling_platform.accounts.views import home, view_as_stop
from labeling_platform.api import api
from labeling_platform.api_docs import api_docs, openapi
from models_app.vr3.views import identity_view

team_urls = [
    path("", include("labeling_platform.accounts.urls")),
    path("models/", include("models_app.urls")),
    path("jobs/", include("jobs_app.urls")),
    path("contribute/", include("jobs_app.contributor_urls")),
    path("workflows/", include("workflows_app.urls")),
    path("reports/", include("reports_app.urls")),
]
urlpatterns = [
    path("", home, name="home"),
    path("healthz", health.healthz),
    path("readyz", health.readyz),
    path("metrics", metrics.metrics),
    path("accounts/", include("labeling_platform.accounts.account_urls")),
    path("accounts/", include("allauth.urls")),
    path("api/", api_docs, name="api_docs"),
    path("api/v1/openapi.json", openapi, name="openapi"),
    path("api/v1/", api.urls),
    path("visual-recognition/api/", include("models_app.vr3.urls")),
    path("identity/token", identity_view, name="identity_token"),
    path("invite/<str:token>/", invitation, name="invitation"),
    path("view-as/stop/", view_as_stop, name="view_as_stop"),
    path("admin/", admin.site.urls),
    path(
        "samples/<str:name>.csv", lambda request, name: sample_views.table(request, f"{name}.csv"), name="sample_table"
    ),
    path("samples/<str:name>", sample_views.picture, name="sample_picture"),
    path("t/<slug:team_slug>/", include(team_urls)),
]
