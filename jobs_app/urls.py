from django.urls import path, re_path

from . import contributors_views, data_views, design_views, launch_views, monitor_views, quality_views, views

app_name = "jobs"
urlpatterns = [
    path("", views.job_list_page, name="list"),
    path("new/", views.job_new, name="new"),
    path("<int:pk>/", monitor_views.job_detail, name="detail"),
    re_path(
        r"^(?P<pk>[0-9]+)/monitor/(?P<part>warnings|pace|times|agreement|answers|disputed|latest)/$",
        monitor_views.monitor_part,
        name="part",
    ),
    path("<int:pk>/against/", monitor_views.against, name="against"),
    path("<int:pk>/against/rows/", monitor_views.against_rows, name="against_rows"),
    path("<int:pk>/contributors/", contributors_views.contributors, name="contributors"),
    path("<int:pk>/contributors/<int:contributor_pk>/", contributors_views.contributor, name="contributor"),
    re_path(
        r"^(?P<pk>[0-9]+)/contributors/(?P<contributor_pk>[0-9]+)/(?P<deed>stop|reject|readmit)/$",
        contributors_views.contributor_action,
        name="contributor_action",
    ),
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
    path("<int:pk>/quality/", quality_views.quality, name="quality"),
    path("<int:pk>/quality/make/", quality_views.gold_make, name="gold_make"),
    path("<int:pk>/quality/rows/", quality_views.gold_row, name="gold_row"),
    path("<int:pk>/quality/distribution/", quality_views.distribution, name="distribution"),
    path("<int:pk>/quality/example.csv", quality_views.gold_example, name="gold_example"),
    path("<int:pk>/quality/<int:gold_pk>/", quality_views.gold_detail, name="gold"),
    re_path(
        r"^(?P<pk>[0-9]+)/quality/(?P<gold_pk>[0-9]+)/(?P<what>on|off|review)/$",
        quality_views.gold_action,
        name="gold_action",
    ),
    path("<int:pk>/launch/", launch_views.job_launch, name="launch"),
    path("<int:pk>/launch/waiting/", launch_views.job_launch_queued, name="launch_queued"),
    path("<int:pk>/settings/", views.job_settings, name="settings"),
    path("<int:pk>/copy/", views.job_copy, name="copy"),
    re_path(r"^(?P<pk>[0-9]+)/(?P<action>pause|resume|cancel)/$", views.job_action, name="action"),
]
