"""Chainlets under the host: asyncio across calls, failures, cancellation, logs, stores, HTTP."""

import http.server
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from harness import Served, free_port, until

pytestmark = pytest.mark.host


def together(kitchen: Served, number: int, body: dict[str, Any]) -> tuple[list[Any], float]:
    """Makes calls at once. Returns the answers and the seconds that all took."""
    began = time.monotonic()
    with ThreadPoolExecutor(number) as pool:
        answers = list(pool.map(lambda _: kitchen.call(body), range(number)))
    assert {status for status, _ in answers} == {200}, answers
    return [answer for _, answer in answers], time.monotonic() - began


def test_calls_that_sleep_do_so_together(kitchen: Served) -> None:
    _, seconds = together(kitchen, 10, {"what": "sleep", "ms": 300})
    assert 0.3 <= seconds < 1.5


def test_many_calls_gather_many_dependencies(kitchen: Served) -> None:
    answers, _ = together(kitchen, 12, {"what": "gather", "ms": 50})
    assert set(answers) == {str([str(i) for i in range(10)])}


def test_a_lock_that_one_call_releases_wakes_the_next(kitchen: Served) -> None:
    answers, seconds = together(kitchen, 6, {"what": "lock", "ms": 50})
    assert set(answers) == {"1"} and seconds >= 0.3


def test_an_event_of_one_call_wakes_another(kitchen: Served) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(kitchen.call, {"what": "wait"})
        assert kitchen.call({"what": "set"})[0] == 200
        assert waiting.result(10) == (200, "woken")


def test_a_queue_hands_items_from_task_to_task(kitchen: Served) -> None:
    assert kitchen.call({"what": "queue"}) == (200, "[0, 1, 2, 3, 4]")


@pytest.mark.parametrize("text", ["", "long"])
def test_a_timeout_gives_up_a_dependency_and_the_instance_goes_on(kitchen: Served, text: str) -> None:
    answers, seconds = together(kitchen, 4, {"what": "timeout", "ms": 100, "text": text})
    assert set(answers) == {"timed out"} and seconds < 5
    assert kitchen.call({"what": "plain", "text": "abc"}) == (200, "cba")


def test_a_call_that_is_over_cancels_its_task(kitchen: Served) -> None:
    status, problem = kitchen.call({"what": "hang", "text": "by deadline"}, x_request_timeout="300ms")
    assert (status, problem["type"]) == (504, "urn:chainhost:problem:deadline")
    until(lambda: "cancelled by deadline" in kitchen.call({"what": "seen"})[1])


@pytest.mark.parametrize("what", ["gather-fails", "group-fails"])
def test_an_error_of_a_dependency_reaches_the_client_with_its_origin(kitchen: Served, what: str) -> None:
    status, problem = kitchen.call({"what": what, "ms": 200})
    assert (status, problem["chainlet"], problem["detail"]) == (404, "worker", "there is nothing")
    assert [edge["to"] for edge in problem["path"]] == ["worker"]
    assert json.loads(problem["error"]["details"]) == {"ms": 0}


def test_a_failure_of_a_dependency_passes_unchanged(kitchen: Served) -> None:
    status, problem = kitchen.call({"what": "worker", "text": "trap"})
    assert (status, problem["type"], problem["chainlet"]) == (500, "urn:chainhost:problem:trap", "worker")
    assert problem["path"] == [{"from": "main", "dependency": "worker", "to": "worker"}]


def test_a_failure_and_an_error_can_be_caught(kitchen: Served) -> None:
    assert kitchen.call({"what": "caught", "text": "trap"}) == (200, "trap in worker by ['worker']")
    assert kitchen.call({"what": "caught", "text": "not-found"}) == (200, "not-found {'ms': 0}")
    assert kitchen.call({"what": "caught", "text": "fine"}) == (200, "FINE")


@pytest.mark.parametrize(
    ("text", "name"), [("exit", "SystemExit"), ("recursion", "RecursionError"), ("key", "KeyError")]
)
def test_any_exception_is_an_internal_error_and_no_trap(kitchen: Served, text: str, name: str) -> None:
    status, problem = kitchen.call({"what": "bug", "text": text})
    assert (status, problem["error"]["kind"]) == (500, "internal")
    # Its text may hold a secret, so the client sees its class alone.
    assert problem["detail"].endswith(f"run_remote raised {name}; the log has the rest")
    assert kitchen.call({"what": "queue"})[0] == 200


def test_an_argument_of_the_wrong_type_names_its_place(kitchen: Served) -> None:
    _, problem = kitchen.call({"what": "wrong-result"})
    assert "Worker.run_remote: what: expected str, found int 7" in problem["detail"]


def test_models_and_defaults_come_in(kitchen: Served) -> None:
    body = {"what": "order", "order": {"dish": "soup"}, "counts": {"a": 1, "b": 2}}
    assert kitchen.call(body) == (200, "Order(dish='soup', count=1) {'a': 1, 'b': 2}")
    assert kitchen.call({"what": "order"}) == (200, "None None")
    status, problem = kitchen.call({"what": "order", "order": {"dish": ""}})
    assert (status, problem["error"]["kind"]) == (400, "invalid")
    assert "dish" in problem["detail"]


def test_streams_go_in_and_out(kitchen: Served) -> None:
    assert kitchen.call({"what": "words", "text": "a b c"}) == (200, "['A', 'B', 'C']")
    assert kitchen.call({"what": "words", "text": "a boom c"}) == (200, "['A', \"invalid ['boom']\"]")
    body = {"what": "echo", "words": ["x", "y"]}
    assert kitchen.call(body, chainlet="words") == (200, [["X", "Y"], {"ok": None}])


def test_an_error_before_the_first_item_has_its_status(kitchen: Served) -> None:
    status, problem = kitchen.call(
        {"what": "fail-first", "words": []}, chainlet="words", accept="application/x-ndjson, application/json;q=0.1"
    )
    problem = json.loads(problem)
    assert (status, problem["detail"]) == (404, "no words")


def test_an_error_in_the_middle_ends_the_stream(kitchen: Served) -> None:
    _, text = kitchen.call({"what": "echo", "words": ["a", "boom"]}, chainlet="words", accept="application/x-ndjson")
    first, last = text.splitlines()
    assert json.loads(first) == "A"
    assert json.loads(last)["$error"]["status"] == 400


def test_a_reader_that_leaves_closes_the_generator(kitchen: Served) -> None:
    def closed() -> int:
        return int(kitchen.call({"what": "closed", "words": []}, chainlet="words")[1][0][0])

    before = closed()
    assert kitchen.call({"what": "first-word", "text": "a b c d"}) == (200, "A")
    until(lambda: closed() > before)


def test_a_line_of_logging_has_its_level_fields_and_request(kitchen: Served) -> None:
    status, request = kitchen.call({"what": "log", "text": "Ada"}, x_request_id="log-test")
    assert (status, request) == (200, "log-test")
    (line,) = until(lambda: [line for line in kitchen.log_lines() if line.get("message") == "hello Ada"])
    assert (line["level"], line["request"], line["chainlet"]) == ("INFO", "log-test", "main")
    assert "kitchen" in json.dumps(line) and "size" in json.dumps(line)


def test_a_store_keeps_values(kitchen: Served) -> None:
    first = kitchen.call({"what": "store"})[1]
    assert first == "[1, {'a': [1]}, b'x', ['j', 'n', 'u'], None]"
    assert kitchen.call({"what": "store"})[1].startswith("[2, {'a': [1]}, b'xx'")


def test_a_module_that_a_function_imports_is_there(kitchen: Served) -> None:
    assert kitchen.call({"what": "late-import"}) == (200, "['a', 'b']")


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.answer(
            b"event: greeting\ndata: a\ndata: b\n\n: comment\r\ndata: c\r\n\r\n" if self.path == "/events" else b"hello"
        )

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.answer(json.dumps({"path": self.path, "body": json.loads(body)}).encode())

    def answer(self, body: bytes) -> None:
        self.send_response(404 if self.path == "/missing" else 200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_requests_go_out(kitchen: Served, server: str) -> None:
    assert kitchen.call({"what": "get", "text": server + "/"}) == (200, "200 hello")
    assert kitchen.call({"what": "get", "text": server + "/missing"}) == (200, "404 hello")
    status, answer = kitchen.call({"what": "post", "text": server + "/echo"})
    assert (status, answer) == (200, "{'path': '/echo?q=%C3%A4+b', 'body': {'a': 1}}")
    assert kitchen.call({"what": "events", "text": server + "/events"}) == (
        200,
        "[('greeting', 'a\\nb'), ('message', 'c')]",
    )


def test_httpx_sends_through_the_host(kitchen: Served, server: str) -> None:
    pytest.importorskip("httpx")
    assert kitchen.call({"what": "httpx", "text": server + "/x"}) == (200, "{'path': '/x', 'body': {'b': 2}}")


def test_a_host_that_is_not_allowed_is_an_error_that_says_so(kitchen: Served) -> None:
    status, problem = kitchen.call({"what": "get", "text": "http://example.com/"})
    assert (status, "Denied" in problem["detail"]) == (500, True)
    port = free_port()
    status, problem = kitchen.call({"what": "get", "text": f"http://127.0.0.1:{port}/"})
    assert (status, problem["error"]["kind"]) == (502, "upstream")


def test_the_openapi_document_has_the_docs(kitchen: Served) -> None:
    assert "/run_remote" in json.loads(kitchen.get("/openapi.json")[1])["paths"]


def test_a_chainlet_that_is_not_well_is_replaced(kitchen: Served) -> None:
    assert kitchen.call({"what": "close"})[0] == 200
    until(lambda: any("the kitchen is closed" in json.dumps(line) for line in kitchen.log_lines()))
    # After some bad answers the host starts another replica, which is well.
    until(lambda: kitchen.get("/readyz")[0] == 200 and kitchen.call({"what": "seen"}) == (200, "[]"))
