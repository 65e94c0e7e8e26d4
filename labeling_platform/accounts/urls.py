from django.urls import path

from . import activity_views, people_views, token_views, views

app_name = "teams"
urlpatterns = [
    path("", views.team_home, name="home"),
    path("activity/", activity_views.activity, name="activity"),
    path("activity/activity.csv", activity_views.activity_csv, name="activity_csv"),
    path("pictures/<str:size>/<str:token>", views.picture, name="picture"),
    path("people/", people_views.people, name="people"),
    path("people/second-factor/", people_views.second_factor, name="second_factor"),
    path("people/invite/", people_views.invite, name="invite"),
    path("people/link/", people_views.invite_link, name="invite_link"),
    path("people/contributor-link/", people_views.contributor_link, name="contributor_link"),
    path("people/invitations/<int:invitation_pk>/revoke/", people_views.revoke, name="revoke"),
    path("people/<int:membership_pk>/role/", people_views.role, name="role"),
    path("people/<int:membership_pk>/remove/", people_views.remove, name="remove"),
    path("api/", token_views.tokens, name="tokens"),
    path("api/make/", token_views.make, name="token_make"),
    path("api/<int:token_pk>/revoke/", token_views.revoke, name="token_revoke"),
]
