from django.contrib.auth import authenticate, login
from django.http import JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from rest_framework.authentication import TokenAuthentication
from rest_framework.decorators import (
    api_view,
    authentication_classes,
    permission_classes,
    renderer_classes,
)
from rest_framework.permissions import IsAuthenticated
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response

from board.models import Ticket


# A client that is not a browser has no form with a CSRF token.
@csrf_exempt
@require_POST
def log_in(request):
    """Exchanges `username` and `password` for a session cookie, also valid for WebSockets."""
    user = authenticate(
        request,
        username=request.POST.get("username"),
        password=request.POST.get("password"),
    )
    if user is None:
        return JsonResponse({"detail": "Wrong user name or password."}, status=401)
    login(request, user)
    return JsonResponse({"user": user.username})


@api_view(["POST"])
@authentication_classes([TokenAuthentication])
@permission_classes([IsAuthenticated])
@renderer_classes([JSONRenderer])
def issue_ticket(request):
    """Exchanges `Authorization: Token KEY` for a ticket for one WebSocket connection."""
    return Response({"ticket": Ticket.objects.create(user=request.user).key}, status=201)
