from django.urls import path

from board.views import log_in

urlpatterns = [path("login/", log_in)]
