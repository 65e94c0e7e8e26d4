"""Addresses of the v3 API, below /visual-recognition/api/."""

from django.urls import path

from . import views

urlpatterns = [
    path("v3/classify", views.classify_view, name="vr3_classify"),
    path("v3/classifiers", views.classifiers_view, name="vr3_classifiers"),
    path("v3/classifiers/<str:classifier_id>", views.classifier_view, name="vr3_classifier"),
    path("v3/classifiers/<str:classifier_id>/core_ml_model", views.core_ml_view, name="vr3_core_ml"),
    path("v3/user_data", views.user_data_view, name="vr3_user_data"),
]
