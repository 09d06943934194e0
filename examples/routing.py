"""Notes: ``POST /notes`` adds one, ``GET /notes/1`` reads it, ``GET /`` lists them.

Try ``curl -i -d 'buy milk' http://localhost:8080/notes``, and ``curl -X DELETE`` for a 405.
"""

import trillium_trio as tt
from trillium_trio.handlers import Params, Router

notes: dict[int, str] = {}
app = Router()


async def list_notes(conn: tt.Conn) -> tt.Conn:
    return conn.ok("".join(f"{app.url_for('note', id=each)}\n" for each in notes))


async def add_note(conn: tt.Conn) -> tt.Conn:
    ident = len(notes) + 1
    notes[ident] = await conn.request_body.text()
    return conn.redirect(app.url_for("note", id=ident), 303)


async def read_note(conn: tt.Conn) -> tt.Conn:
    text = notes.get(Params.of(conn)["id"])
    # Without an answer it is a 404.
    return conn if text is None else conn.ok(text)


if __name__ == "__main__":
    app.get("/", list_notes).post("/notes", add_note)
    app.get("/notes/{id:int}", read_note, name="note")
    print(app)
    tt.config().run(app)
