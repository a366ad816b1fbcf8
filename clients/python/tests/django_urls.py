from django.http import HttpResponse
from django.urls import path

urlpatterns = [path("threads/<str:id>/events", lambda request, id: HttpResponse(id))]
