"""Serves the folder of the examples below ``/files``, and a page that lists them.

Try ``curl -i http://localhost:8080/files/files.py -H 'Range: bytes=0-20'``.
"""

from pathlib import Path

import trillium_trio as tt
from trillium_trio.handlers import Router, Static

HERE = Path(__file__).parent


async def list_files(conn: tt.Conn) -> tt.Conn:
    names = sorted(path.name for path in HERE.glob("*.py"))
    links = "".join(f'<li><a href="/files/{name}">{name}</a>\n' for name in names)
    return conn.ok(f"<ul>\n{links}").with_response_header("content-type", "text/html")


if __name__ == "__main__":
    files = Static(HERE, content_types={"py": "text/x-python"}, cache_control="no-cache")
    tt.config().run(Router().get("/", list_files).mount("/files", files))
