from django.urls import path

from board.views import issue_ticket, log_in

urlpatterns = [path("login/", log_in), path("ticket/", issue_ticket)]
