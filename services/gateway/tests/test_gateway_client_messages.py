"""What clients may say, and how a mistake is explained."""

import pytest

from fieldcoach.gateway.client_messages import (
    Acknowledge,
    Applied,
    End,
    Pause,
    Ping,
    Stats,
    parse_client_message,
)
from fieldcoach.gateway.errors import BadMessage

CUE = "c" * 26


def test_good_messages() -> None:
    assert parse_client_message('{"type":"pause"}') == Pause(type="pause")
    assert parse_client_message('{"type":"end"}') == End(type="end")
    assert parse_client_message(f'{{"type":"ack","cue_id":"{CUE}","action":"shown"}}') == Acknowledge(
        type="ack", cue_id=CUE, action="shown"
    )
    assert parse_client_message('{"type":"ping","t":1.5}') == Ping(type="ping", t=1.5)
    assert parse_client_message('{"type":"applied","command":2,"rung":"L3"}') == Applied(
        type="applied", command=2, rung="L3"
    )
    assert parse_client_message('{"type":"stats","rtt_ms":30}') == Stats(type="stats", rtt_ms=30)


@pytest.mark.parametrize(
    ("text", "kind", "field"),
    [
        (None, "bad-request", "message"),
        ("hello", "bad-request", "message"),
        ("", "bad-request", "message"),
        ("[" * 100_000, "bad-request", "message"),
        ("[]", "bad-request", "message"),
        ("1", "bad-request", "message"),
        ("{}", "invalid", "type"),
        ('{"type":"fly"}', "invalid", "type"),
        ('{"type":["ack"]}', "invalid", "type"),
        ('{"type":"pause","why":1}', "invalid", "why"),
        ('{"type":"ack"}', "invalid", "cue_id"),
        ('{"type":"ack","cue_id":"*","action":"shown"}', "invalid", "cue_id"),
        (f'{{"type":"ack","cue_id":"{CUE}","action":"eaten"}}', "invalid", "action"),
        ('{"type":"applied","command":0,"rung":"L3"}', "invalid", "command"),
        ('{"type":"applied","command":1,"rung":"L6"}', "invalid", "rung"),
        ('{"type":"stats","rtt_ms":-1}', "invalid", "rtt_ms"),
        ('{"type":"stats","rtt_ms":NaN}', "invalid", "rtt_ms"),
        ('{"type":"ping","t":Infinity}', "invalid", "t"),
        (f'{{"type":"ping","t":"{"x" * 65}"}}', "invalid", "t"),
    ],
)
def test_a_bad_message_names_its_field_and_the_fix(text: str | None, kind: str, field: str) -> None:
    with pytest.raises(BadMessage) as bad:
        parse_client_message(text)
    problem = bad.value.problem
    assert problem.type == f"urn:fieldcoach:problem:{kind}"
    assert problem.field == field
    assert problem.fix


def test_the_content_is_never_repeated() -> None:
    with pytest.raises(BadMessage) as bad:
        parse_client_message(f'{{"type":"ack","cue_id":"{CUE}","action":"my private words"}}')
    assert "private" not in bad.value.problem.model_dump_json()
