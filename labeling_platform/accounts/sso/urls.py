from django.urls import path

from . import views

urlpatterns = [
    path("sso/login/", views.login, name="sso_login"),
    path("sso/login/callback/", views.callback, name="sso_callback"),
]
