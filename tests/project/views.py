"""Django's half of the test project."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.templatetags.static import static
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt


def home(request: HttpRequest) -> HttpResponse:
    return HttpResponse("django home")


@csrf_exempt
def echo(request: HttpRequest) -> JsonResponse:
    """What the view met: enough to tell which scope Django was handed."""
    return JsonResponse(
        {
            "path": request.path,
            "path_info": request.path_info,
            "script_name": request.META["SCRIPT_NAME"],
            "method": request.method,
            "body": len(request.body),
        }
    )


def links(request: HttpRequest) -> JsonResponse:
    """What Django writes into its pages."""
    return JsonResponse(
        {
            "reverse": reverse("echo"),
            "static": static("admin/css/base.css"),
            "absolute": request.build_absolute_uri(),
        }
    )
