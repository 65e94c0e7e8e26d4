from django.urls import path

from . import care_views, connection_views, decision_views, evaluation_views, views

app_name = "models"
urlpatterns = [
    path("", views.model_list, name="list"),
    path("new/", views.model_new, name="new"),
    path("connections/", connection_views.connections, name="connections"),
    path("connections/new/", connection_views.connection_new, name="connection_new"),
    path("connections/<int:connection_pk>/", connection_views.connection_edit, name="connection_edit"),
    path("connections/<int:connection_pk>/test/", connection_views.connection_test, name="connection_test"),
    path("connections/<int:connection_pk>/delete/", connection_views.connection_delete, name="connection_delete"),
    path("<int:pk>/", views.model_detail, name="detail"),
    path("<int:pk>/upload/", views.upload, name="upload"),
    path("<int:pk>/train/", views.train, name="train"),
    path("<int:pk>/cancel/", views.cancel, name="cancel"),
    path("<int:pk>/delete/", views.delete, name="delete"),
    path("<int:pk>/uploads/<int:upload_pk>/", views.upload_detail, name="upload_detail"),
    path("<int:pk>/uploads/<int:upload_pk>/file", views.upload_file, name="upload_file"),
    path("<int:pk>/versions/<int:number>/", views.version_detail, name="version"),
    path("<int:pk>/versions/<int:number>/holdout/", views.holdout, name="holdout"),
    path("<int:pk>/threshold/", decision_views.threshold, name="threshold"),
    path("<int:pk>/compare/", decision_views.compare, name="compare"),
    path("<int:pk>/data/", care_views.check_data, name="care"),
    path("<int:pk>/data/change/", care_views.change_data, name="change_data"),
    path("<int:pk>/images/", views.image_list, name="images"),
    path("<int:pk>/evaluate/", evaluation_views.evaluate, name="evaluate"),
    path("<int:pk>/evaluate/upload/", evaluation_views.evaluate_upload, name="evaluate_upload"),
    path("<int:pk>/evaluations/<int:evaluation_pk>/", evaluation_views.evaluation, name="evaluation"),
    path("<int:pk>/evaluations/<int:evaluation_pk>/file", evaluation_views.evaluation_file, name="evaluation_file"),
]
