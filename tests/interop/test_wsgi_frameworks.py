"""Flask and Django under the command line, as processes, asked by httpx."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.e2e._command import PATIENCE, Process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Start = Callable[..., tuple[Process, httpx.Client]]

UPLOAD = bytes(range(256)) * 8192  # 2 MiB

FLASK = """
import sys, time
from flask import Flask, Response, jsonify, request, send_file, stream_with_context

app = Flask(__name__)

@app.get("/")
def hello():
    return "hello"

@app.get("/query")
def query():
    return jsonify(request.args.to_dict(flat=False), request.script_root, request.path)

@app.post("/form")
def form():
    return jsonify(request.form)

@app.post("/upload")
def upload():
    file = request.files["file"]
    return jsonify(file.filename, len(file.read()))

@app.post("/raw")
def raw():
    return jsonify(len(request.stream.read()))

@app.get("/stream")
def stream():
    def pieces():
        for number in range(1000):
            yield f"{number} {request.path}\\n"
    return Response(stream_with_context(pieces()), mimetype="text/plain")

@app.get("/file")
def file():
    return send_file("file.txt", conditional=True)

@app.get("/fails")
def fails():
    raise ValueError("boom")

@app.get("/slow")
def slow():
    print("begun", file=sys.stderr, flush=True)
    time.sleep(1.5)
    return "finished"

@app.get("/stuck")
def stuck():
    print("begun", file=sys.stderr, flush=True)
    time.sleep(3600)
"""

DJANGO = """
import json, sys, time
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import FileResponse, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path

settings.configure(
    ALLOWED_HOSTS=["*"],
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="for the test",
)

def hello(request):
    return HttpResponse("hello")

def query(request):
    found = [dict(request.GET.lists()), request.META["SCRIPT_NAME"], request.path_info]
    return JsonResponse(found, safe=False)

def form(request):
    return JsonResponse(request.POST.dict())

def upload(request):
    file = request.FILES["file"]
    return JsonResponse([file.name, sum(map(len, file.chunks()))], safe=False)

def raw(request):
    return JsonResponse(len(request.read()), safe=False)

def stream(request):
    return StreamingHttpResponse(
        (f"{number} {request.path_info}\\n" for number in range(1000)), content_type="text/plain"
    )

def file(request):
    return FileResponse(open("file.txt", "rb"))

def fails(request):
    raise ValueError("boom")

def slow(request):
    print("begun", file=sys.stderr, flush=True)
    time.sleep(1.5)
    return HttpResponse("finished")

def stuck(request):
    print("begun", file=sys.stderr, flush=True)
    time.sleep(3600)

views = (query, form, upload, raw, stream, file, fails, slow, stuck)
urlpatterns = [path("", hello), *(path(each.__name__, each) for each in views)]
app = get_wsgi_application()
"""

APPLICATIONS = {"flask_app": FLASK, "django_app": DJANGO}


@pytest.fixture(params=APPLICATIONS)
def name(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
def start(name: str, tmp_path: Path) -> Iterator[Start]:
    (tmp_path / f"{name}.py").write_text(APPLICATIONS[name], encoding="utf-8")
    (tmp_path / "file.txt").write_bytes(b"content of the file")
    started: list[tuple[Process, httpx.Client]] = []

    def start(*arguments: str) -> tuple[Process, httpx.Client]:
        command = ["-m", "trillium_trio", f"{name}:app", "--host", "127.0.0.1", "--port", "0"]
        process = Process([*command, *arguments], tmp_path)
        url = f"http://127.0.0.1:{process.wait_port()}"
        started.append((process, httpx.Client(base_url=url, timeout=PATIENCE)))
        return started[-1]

    yield start
    for process, client in started:
        client.close()
        process.kill()


def stop(process: Process) -> None:
    process.process.terminate()
    assert process.wait_status() == 0


def test_wg_13_what_applications_do(start: Start, name: str) -> None:
    process, client = start()
    assert client.get("/").text == "hello"
    assert client.head("/").headers["content-length"] == "5"
    assert client.get("/missing").status_code == 404
    assert client.get("/query?a=1&a=2&b=%C3%BC").json() == [
        {"a": ["1", "2"], "b": ["ü"]},
        "",
        "/query",
    ]
    assert client.post("/form", data={"name": "ü", "empty": ""}).json() == {
        "name": "ü",
        "empty": "",
    }
    assert client.post("/upload", files={"file": ("name.bin", UPLOAD)}).json() == [
        "name.bin",
        len(UPLOAD),
    ]
    assert client.post("/raw", content=UPLOAD).json() == len(UPLOAD)
    # Django does not read a body without Content-Length.
    chunked = client.post("/raw", content=iter([UPLOAD, UPLOAD]))
    assert chunked.json() == (0 if name == "django_app" else 2 * len(UPLOAD))
    response = client.get("/stream")
    assert response.text == "".join(f"{number} /stream\n" for number in range(1000))
    assert response.headers["transfer-encoding"] == "chunked"
    stop(process)


def test_wg_13_files(start: Start) -> None:
    process, client = start()
    response = client.get("/file")
    assert response.content == b"content of the file"
    assert response.headers["content-length"] == "19"
    assert client.head("/file").headers["content-length"] == "19"
    if "etag" in response.headers:
        part = client.get("/file", headers={"range": "bytes=8-9"})
        assert (part.status_code, part.content) == (206, b"of")
        again = client.get("/file", headers={"if-none-match": response.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
    stop(process)


def test_wg_13_an_error(start: Start) -> None:
    process, client = start()
    response = client.get("/fails")
    assert response.status_code == 500
    assert "Internal Server Error" in response.text or "Server Error (500)" in response.text
    assert client.get("/").text == "hello"
    stop(process)


def test_wg_13_an_upload_that_is_too_large(start: Start) -> None:
    process, client = start("--max-body-bytes", "1000000")
    assert client.post("/upload", files={"file": ("name.bin", UPLOAD)}).status_code == 413
    assert client.get("/").text == "hello"
    stop(process)


def test_wg_13_a_root_path(start: Start) -> None:
    process, client = start("--root-path", "/api")
    assert client.get("/query").json() == [{}, "/api", "/query"]
    assert client.get("/api/query").json() == [{}, "/api", "/query"]
    stop(process)


def test_wg_12_a_busy_application_is_drained(start: Start) -> None:
    process, client = start("--wsgi-threads", "2")
    answers: list[str] = []

    def ask() -> None:
        answers.append(client.get("/slow").text)

    # One more than there are threads: it begins while the server drains.
    asking = [threading.Thread(target=ask) for _ in range(3)]
    for each in asking:
        each.start()
    for _ in range(2):
        process.wait_line("begun")
    process.process.terminate()
    for each in asking:
        each.join()
    assert answers == ["finished"] * 3
    assert process.wait_status() == 0


def test_wg_12_a_stuck_application_is_cut_and_named(start: Start, name: str) -> None:
    process, client = start("--drain-timeout", "0.5")
    answers: list[int] = []
    asking = threading.Thread(target=lambda: answers.append(client.get("/stuck").status_code))
    asking.start()
    process.wait_line("begun")
    process.process.terminate()
    asking.join()
    assert process.wait_status() == 1
    assert answers == [503]
    assert "GET /stuck" in process.log
    assert f"{name}.py" in process.log
    assert "worker thread Wsgi(" in process.log
