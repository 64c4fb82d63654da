"""The bytes on the bus do not change by accident: a service of yesterday reads the messages of today."""

import inspect

import pytest

from fieldcoach.common import messages
from fieldcoach.common.audio import unpack_chunk

from .samples import BYTES, CHUNKS, GOLDEN, MESSAGES, golden


@pytest.mark.parametrize("name", sorted(BYTES))
def test_what_we_write_is_what_we_always_wrote(name: str) -> None:
    assert golden(name).exists(), f"run python {inspect.getfile(golden)} for the new kind"
    assert BYTES[name].hex() == golden(name).read_text().strip()


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.kind)
def test_what_we_read_is_what_was_meant(message: messages.Message) -> None:
    kind = type(message).model_fields["kind"].default
    assert type(message).decode(bytes.fromhex(golden(kind).read_text())) == message


@pytest.mark.parametrize("name", sorted(CHUNKS))
def test_chunks_are_read_back(name: str) -> None:
    assert unpack_chunk(bytes.fromhex(golden(name).read_text())) == CHUNKS[name]


def test_every_kind_has_a_sample() -> None:
    kinds = {
        member.model_fields["kind"].default
        for _, member in inspect.getmembers(messages, inspect.isclass)
        if issubclass(member, messages.Message) and "kind" in member.model_fields
    }
    assert kinds == {type(message).model_fields["kind"].default for message in MESSAGES}
    assert {path.stem for path in GOLDEN.iterdir()} == set(BYTES)
