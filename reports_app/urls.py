"""Addresses of reports, below /t/<team>/reports/."""

from django.urls import path

from . import views

app_name = "reports"
urlpatterns = [
    path("", views.report_list, name="list"),
    path("workflow/<int:workflow_pk>/", views.workflow_reports, name="workflow"),
    path("workflow/<int:workflow_pk>/request/", views.request_report, name="request"),
    path("jobs/<int:job_pk>/", views.job_reports, name="job"),
    path("jobs/<int:job_pk>/request/", views.request_job_report, name="job_request"),
    path("<int:pk>/cancel/", views.cancel, name="cancel"),
    path("<int:pk>/download/", views.download, name="download"),
]
