from django.urls import path, re_path

from . import data_views, design_views, monitor_views, views

app_name = "jobs"
urlpatterns = [
    path("", views.job_list_page, name="list"),
    path("new/", views.job_new, name="new"),
    path("<int:pk>/", monitor_views.job_detail, name="detail"),
    path("<int:pk>/design/", design_views.job_design, name="design"),
    path("<int:pk>/preview/", design_views.job_preview, name="preview"),
    path("<int:pk>/data/", data_views.job_data, name="data"),
    path("<int:pk>/settings/", views.job_settings, name="settings"),
    re_path(r"^(?P<pk>[0-9]+)/(?P<action>launch|pause|resume|cancel)/$", views.job_action, name="action"),
]
