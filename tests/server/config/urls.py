from django.contrib.auth.views import LoginView
from django.urls import path

from board.views import issue_ticket, log_in

urlpatterns = [
    path("login/", log_in),
    path("accounts/login/", LoginView.as_view(template_name="login.html")),
    path("ticket/", issue_ticket),
]
