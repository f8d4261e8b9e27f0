from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from metallb.telemetry import logs


@pytest.fixture
def sink() -> Iterator[io.BytesIO]:
    stream = io.BytesIO()
    logs.configure("all", stream=stream)
    yield stream
    logs.configure("info")
    root = logging.getLogger()
    root.handlers = [handler for handler in root.handlers if not isinstance(handler, logs._Bridge)]


def lines(stream: io.BytesIO) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in stream.getvalue().splitlines()]


def test_a_message_has_time_level_caller_and_its_fields(sink: io.BytesIO) -> None:
    logs.logger(op="reconcile").bind(service="ns/web").info("assigned", event="ipAllocated", ips=["198.51.100.1"])
    (line,) = lines(sink)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("ts"))
    assert re.fullmatch(r"test_logs\.py:\d+", line.pop("caller"))
    assert line == {
        "level": "info",
        "msg": "assigned",
        "op": "reconcile",
        "service": "ns/web",
        "event": "ipAllocated",
        "ips": ["198.51.100.1"],
    }


@pytest.mark.parametrize(
    ("level", "written"),
    [
        ("all", ["debug", "info", "warn", "error"]),
        ("debug", ["debug", "info", "warn", "error"]),
        ("info", ["info", "warn", "error"]),
        ("warn", ["warn", "error"]),
        ("error", ["error"]),
        ("none", []),
    ],
)
def test_a_level_hides_what_is_below_it(level: str, written: list[str], sink: io.BytesIO) -> None:
    logs.configure(level, stream=sink)
    log = logs.logger()
    for name in ("debug", "info", "warn", "error"):
        getattr(log, name)("x")
    assert [line["level"] for line in lines(sink)] == written


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(ValueError, match="loud"):
        logs.configure("loud")


def test_an_error_is_its_text_and_an_unexpected_one_its_trace_too(sink: io.BytesIO) -> None:
    def mistake() -> None:
        raise RuntimeError("mistake")

    with pytest.raises(RuntimeError) as caught:
        mistake()
    logs.logger().error("failed", error=caught.value, traceback=True)
    logs.logger().error("failed", error=TimeoutError())
    first, second = lines(sink)
    assert first["error"] == "mistake"
    assert "test_logs.py" in first["traceback"]
    assert second["error"] == "TimeoutError"


def test_what_json_does_not_know_is_written_as_text(sink: io.BytesIO) -> None:
    loop: list[Any] = []
    loop.append(loop)
    log = logs.logger()
    log.info("x", key=object)
    log.info("y", loop=loop)
    log.info("z", text="line\nbreak \ud800")
    assert [line["msg"].strip("'") for line in lines(sink)] == ["x", "y", "z"]


def test_the_standard_librarys_warnings_join_the_stream(sink: io.BytesIO) -> None:
    logging.getLogger("asyncio").warning("slow %s", "callback")
    logging.getLogger("asyncio").info("not this")
    (line,) = lines(sink)
    assert (line["level"], line["msg"], line["logger"]) == ("warn", "slow callback", "asyncio")


def test_a_closed_stream_stops_nothing(sink: io.BytesIO) -> None:
    sink.close()
    logs.logger().info("x")
