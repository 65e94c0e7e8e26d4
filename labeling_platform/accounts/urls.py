from django.urls import path

from . import views

app_name = "teams"
urlpatterns = [
    path("", views.team_home, name="home"),
    path("activity/", views.activity, name="activity"),
    path("pictures/<str:size>/<str:token>", views.picture, name="picture"),
]
