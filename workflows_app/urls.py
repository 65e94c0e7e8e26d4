"""Addresses of workflows, below /t/<team>/workflows/."""

from django.urls import path

from . import data_views, views

app_name = "workflows"
urlpatterns = [
    path("", views.workflow_list, name="list"),
    path("new/", views.workflow_new, name="new"),
    path("preview/", views.preview, name="preview"),
    path("<int:pk>/", views.workflow_detail, name="detail"),
    path("<int:pk>/edit/", views.workflow_edit, name="edit"),
    path("<int:pk>/delete/", views.workflow_delete, name="delete"),
    path("<int:pk>/launch/", views.launch, name="launch"),
    path("<int:pk>/start/", views.start, name="start"),
    path("<int:pk>/off/", views.turn_off, name="turn_off"),
    path("<int:pk>/on/", views.turn_on, name="turn_on"),
    path("<int:pk>/retry/", views.retry, name="retry"),
    path("<int:pk>/data/", data_views.data, name="data"),
    path("<int:pk>/upload/", data_views.upload, name="upload"),
    path("<int:pk>/uploads/<int:upload_pk>/", data_views.upload_detail, name="upload_detail"),
    path("<int:pk>/uploads/<int:upload_pk>/file/", data_views.upload_file, name="upload_file"),
    path("<int:pk>/uploads/<int:upload_pk>/confirm/", data_views.upload_confirm, name="upload_confirm"),
    path("<int:pk>/uploads/<int:upload_pk>/discard/", data_views.upload_discard, name="upload_discard"),
    path("<int:pk>/uploads/<int:upload_pk>/cancel/", data_views.upload_cancel, name="upload_cancel"),
    path("<int:pk>/uploads/<int:upload_pk>/problems/", data_views.upload_problems, name="upload_problems"),
    path("<int:pk>/rows/", data_views.rows, name="rows"),
    path("<int:pk>/rows/<int:row_pk>/", data_views.row, name="row"),
]
