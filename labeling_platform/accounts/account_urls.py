from django.urls import path
from django.views.generic import RedirectView

from . import account_views

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="account_profile")),
    path("profile/", account_views.profile, name="account_profile"),
]
