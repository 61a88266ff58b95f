from django.contrib.auth import authenticate, login
from django.http import JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST


# A client without a browser has no form to take a CSRF token from.
@csrf_exempt
@require_POST
def log_in(request):
    """Answers `username` and `password` with a session cookie, which WebSockets accept too."""
    user = authenticate(
        request,
        username=request.POST.get("username"),
        password=request.POST.get("password"),
    )
    if user is None:
        return JsonResponse({"detail": "Wrong user name or password."}, status=401)
    login(request, user)
    return JsonResponse({"user": user.username})
