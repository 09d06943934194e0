"""A form with a picture: open http://localhost:8080/, or use curl.

``curl -F title=Cat -F picture=@cat.png http://localhost:8080/`` uploads one, and
``curl -T big.iso http://localhost:8080/`` is refused: it is no form.
"""

import hashlib

import trillium_trio as tt
from trillium_trio.handlers import Forms, Router

PAGE = b"""<!doctype html><title>Upload</title>
<form method=post enctype=multipart/form-data>
<input name=title> <input type=file name=picture> <button>Send</button>
</form>
"""


async def page(conn: tt.Conn) -> tt.Conn:
    return conn.ok(PAGE).with_response_header("content-type", "text/html; charset=utf-8")


async def upload(conn: tt.Conn) -> tt.Conn:
    form = await Forms.of(conn).read()
    picture = form.files.get("picture")
    if picture is None:
        return conn.ok("no picture\n").with_status(422)
    digest = hashlib.sha256()
    async for piece in picture:
        digest.update(piece)
    # The name is what the client says: a server chooses the path itself.
    title = form.get("title", picture.filename)
    return conn.ok(f"{title}: {picture.size} bytes, {digest.hexdigest()[:8]}\n")


app = (Forms(max_bytes=50 * 1024 * 1024, max_files=1), Router().get("/", page).post("/", upload))

if __name__ == "__main__":
    tt.config().run(app)
