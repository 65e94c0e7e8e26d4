from django.urls import path

from . import views

urlpatterns = [
    path("sso/saml/login/", views.login, name="saml_login"),
    path("sso/saml/acs/", views.acs, name="saml_acs"),
    path("sso/saml/acs/finish/", views.finish, name="saml_finish"),
    path("sso/saml/metadata/", views.metadata, name="saml_metadata"),
]
