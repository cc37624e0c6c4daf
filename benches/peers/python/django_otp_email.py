"""A login's code with django-otp's email device, on SQLite in memory: make and send it, and verify it. Its defaults, except: no
pause between two codes, and messages are kept in memory."""
import django
from django.conf import settings

settings.configure(
    SECRET_KEY="a secret",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django_otp", "django_otp.plugins.otp_email"],
    EMAIL_BACKEND="django.core.mail.backends.locmem.EmailBackend",
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
    OTP_EMAIL_BODY_TEMPLATE="{{ token }}",
    OTP_EMAIL_COOLDOWN_DURATION=0,
    USE_TZ=True,
)
django.setup()

from django.contrib.auth.models import User  # noqa: E402
from django.core import mail  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django_otp.plugins.otp_email.models import EmailDevice  # noqa: E402

from line import serve  # noqa: E402

call_command("migrate", verbosity=0)
user = User.objects.create_user("alice", "alice@acme.example", "unused")
EmailDevice.objects.create(user=user, name="email", email="alice@acme.example", confirmed=True)


def step():
    # As two requests do: each reads the device.
    EmailDevice.objects.get(user=user).generate_challenge()
    mail.outbox.clear()
    device = EmailDevice.objects.get(user=user)
    if not device.verify_token(device.token):
        raise SystemExit("the code is right")


serve(step)
