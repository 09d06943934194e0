"""What all tests share: how hypothesis runs here."""

from __future__ import annotations

import os

from hypothesis import settings

# No deadline: on a loaded two-core machine a slow example says nothing about the code.
settings.register_profile("default", deadline=None)
# In CI the failing example has to be in the log, because no example database survives the run.
settings.register_profile("ci", deadline=None, print_blob=True, database=None)
settings.load_profile("ci" if os.environ.get("CI") else "default")
