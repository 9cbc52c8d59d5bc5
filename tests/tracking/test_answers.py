"""Answers of a server are reported to the user; the address of the page of runs."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from rsm import tracking
from rsm.cli.parser import main
from rsm.config.run import RunConfig
from rsm.tracking import pages

from .conftest import STUDY, write_run

Start = Callable[[int, str], str]


@pytest.fixture
def answering() -> Iterator[Start]:
    """Start a server that answers everything with a status and a body; its address."""
    started: list[ThreadingHTTPServer] = []

    def start(status: int, body: str) -> str:
        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            do_POST = do_GET

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        started.append(server)
        return f"http://user:secret@127.0.0.1:{server.server_port}"

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (401, "You are not authenticated.", "status 401: You are not authenticated."),
        (403, "Invalid Host header - possible attack", "status 403: Invalid Host header"),
        (403, '{"error_code": "PERMISSION_DENIED", "message": "No."}', "PERMISSION_DENIED: No."),
        (404, "<html><h1>Not here</h1></html>", "status 404: Not here"),
    ],
)
def test_refusal_of_a_server_is_told_with_its_reason_and_exit_code_1(
    status: int,
    body: str,
    words: str,
    answering: Start,
    monkeypatch: pytest.MonkeyPatch,
    capsys,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", answering(status, body))
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    folder = write_run(RunConfig())
    for command in (["publish", str(folder), "--study", STUDY], ["ui"]):
        assert main(command) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert words in line and "secret" not in line and "does not answer" not in line
    main(["doctor"])
    told = capsys.readouterr().out
    assert words in told and "secret" not in told


def test_page_of_a_study_shows_its_runs_in_the_store_of_the_checkout_and_on_a_server(
    monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    study = str(Path(__file__).parents[2] / "workflow/studies/ci.yaml")
    assert main(["store", "--study", study]) == 0
    number = tracking.experiments()["ci"]
    page = f"/#/experiments/{number}/runs?workflowType=machine_learning"
    assert capsys.readouterr().out == f"ci: http://127.0.0.1:5000{page}\n"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://user:secret@host.example:8443/mlflow/")
    assert tracking.runs_page(number) == f"https://host.example:8443/mlflow{page}"


def test_ui_prints_the_page_of_every_study_and_serves_the_store_on_this_machine_only(
    monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    number = tracking.create_store(STUDY)
    became: list[tuple[list[str], dict[str, str]]] = []
    monkeypatch.setattr(
        pages.os, "execve", lambda _, words, environment: became.append((words, environment))
    )
    beside: list[list[str]] = []
    monkeypatch.setattr(pages.subprocess, "Popen", lambda words, **_: beside.append(words))
    assert main(["ui"]) == 0
    [live] = beside
    assert live[1:] == ["-m", "rsm", "sync", "--live", "--pid", str(os.getpid())], "as long as it"
    assert capsys.readouterr().out == f"{STUDY}: {tracking.runs_page(number)}\n"
    [(words, environment)] = became
    assert words[1:] == ["-m", "mlflow", "ui", "--host", "127.0.0.1", "--port", "5000"]
    assert environment["MLFLOW_BACKEND_STORE_URI"] == tracking.tracking_uri()
