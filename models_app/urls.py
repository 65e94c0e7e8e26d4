from django.urls import path
from django.http import HttpResponse

app_name = "models"
urlpatterns = [path("", lambda request, team_slug: HttpResponse("later"), name="list")]
