from django.urls import path

from . import contributor_views as views

app_name = "contribute"
urlpatterns = [
    path("", views.contribute_list, name="list"),
    path("<int:pk>/", views.contribute_job, name="job"),
    path("<int:pk>/work/", views.work, name="work"),
    path("<int:pk>/give-back/", views.give_back, name="give_back"),
    path("<int:pk>/acknowledge/", views.acknowledge, name="acknowledge"),
    path("<int:pk>/contest/<int:judgment_pk>/", views.contest, name="contest"),
]
