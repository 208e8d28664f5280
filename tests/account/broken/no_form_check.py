"""Takes every form, whoever's page sent it."""

from app.core import csrf
from tests.faults.launching import launch, put

put(csrf, "check_form", lambda _request, _fields: None)

if __name__ == "__main__":
    launch()
