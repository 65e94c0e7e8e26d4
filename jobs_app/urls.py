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
    path("<int:pk>/upload/", data_views.upload, name="upload"),
    path("<int:pk>/uploads/<int:upload_pk>/", data_views.upload_detail, name="upload_detail"),
    path("<int:pk>/uploads/<int:upload_pk>/file/", data_views.upload_file, name="upload_file"),
    path("<int:pk>/uploads/<int:upload_pk>/problems/", data_views.upload_problems, name="upload_problems"),
    path("<int:pk>/uploads/<int:upload_pk>/confirm/", data_views.upload_confirm, name="upload_confirm"),
    path("<int:pk>/uploads/<int:upload_pk>/discard/", data_views.upload_discard, name="upload_discard"),
    path("<int:pk>/sample/<slug:sample>/", data_views.sample, name="sample"),
    path("<int:pk>/rows/<int:unit_pk>/", data_views.unit, name="unit"),
    path("<int:pk>/rows/<int:unit_pk>/withdraw/", data_views.unit_withdraw, name="unit_withdraw"),
    path("<int:pk>/settings/", views.job_settings, name="settings"),
    re_path(r"^(?P<pk>[0-9]+)/(?P<action>launch|pause|resume|cancel)/$", views.job_action, name="action"),
]
