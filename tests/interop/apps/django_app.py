"""Django's handler, which runs on asyncio only."""

from django.conf import settings
from django.core.asgi import get_asgi_application

settings.configure(SECRET_KEY="interop", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"])
urlpatterns: list[object] = []
app = get_asgi_application()
