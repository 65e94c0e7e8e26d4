"""Addresses of reports, below /t/<team>/reports/."""

from django.urls import path

from . import views

app_name = "reports"
urlpatterns = [
    path("", views.report_list, name="list"),
    path("workflow/<int:workflow_pk>/", views.workflow_reports, name="workflow"),
    path("workflow/<int:workflow_pk>/request/", views.request_report, name="request"),
    path("<int:pk>/download/", views.download, name="download"),
]
