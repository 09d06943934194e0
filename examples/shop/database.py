"""The database, which all parts of the shop share."""

import os

from trillium_trio.handlers import Postgres

db = Postgres(os.environ.get("DATABASE_URL", "postgresql:///shop"))
