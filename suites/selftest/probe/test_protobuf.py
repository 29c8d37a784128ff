"""The wire format of Protocol Buffers: the examples of its documentation, and what is no message."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.probe.protobuf import MalformedError, blob, blobs, encode, integer

INTEGERS = st.integers(min_value=-(1 << 63), max_value=(1 << 63) - 1)
NUMBERS = st.integers(min_value=1, max_value=(1 << 29) - 1)


@pytest.mark.parametrize(
    ("number", "value", "written"),
    [
        pytest.param(1, 150, "089601", id="varint"),
        pytest.param(2, "testing", "120774657374696e67", id="string"),
        pytest.param(3, encode((1, 150)), "1a03089601", id="message"),
        pytest.param(1, 0, "0800", id="zero"),
        pytest.param(1, 127, "087f", id="one-byte"),
        pytest.param(1, 128, "088001", id="two-bytes"),
        pytest.param(1, -2, "08feffffffffffffffff01", id="negative"),
        pytest.param(16, b"", "820100", id="two-bytes-of-tag"),
    ],
)
def test_a_field_is_written_as_documented(number: int, value: int | str | bytes, written: str) -> None:
    """As https://protobuf.dev/programming-guides/encoding/ gives it."""
    assert encode((number, value)).hex() == written


@given(NUMBERS, INTEGERS)
def test_an_integer_is_read_as_it_was_written(number: int, value: int) -> None:
    assert integer(encode((number, value)), number) == value


@given(NUMBERS, st.lists(st.binary(max_size=300)))
def test_blobs_are_read_as_they_were_written(number: int, values: list[bytes]) -> None:
    assert blobs(encode(*((number, value) for value in values)), number) == values


def test_the_last_value_counts_and_none_is_the_default() -> None:
    message = encode((1, 4), (2, b"first"), (2, "last"), (1, 5))

    assert (integer(message, 1), blob(message, 2)) == (5, b"last")
    assert (integer(message, 3), blob(message, 3), blobs(message, 3)) == (0, b"", [])


def test_a_field_of_another_type_is_not_taken_for_it() -> None:
    message = encode((1, 4), (2, b"text"))

    assert (blobs(message, 1), integer(message, 2)) == ([], 0)


def test_fields_of_a_fixed_length_are_passed_over() -> None:
    message = bytes([3 << 3 | 1, *range(8), 4 << 3 | 5, *range(4)]) + encode((1, 7))

    assert integer(message, 1) == 7
    assert (blob(message, 3), blob(message, 4)) == (bytes(range(8)), bytes(range(4)))


@pytest.mark.parametrize(
    "written",
    [
        pytest.param("08", id="tag-alone"),
        pytest.param("0880", id="varint-cut-off"),
        pytest.param("08" + "80" * 10 + "01", id="varint-too-long"),
        pytest.param("1205616263", id="blob-cut-off"),
        pytest.param("0d000000", id="fixed-cut-off"),
        pytest.param("0b0c", id="group"),
    ],
)
def test_what_is_no_message_is_an_error(written: str) -> None:
    message = bytes.fromhex(written)

    with pytest.raises(MalformedError):
        blobs(message, 1)
    with pytest.raises(MalformedError):
        integer(message, 1)


@given(st.binary(max_size=40))
def test_no_bytes_lead_to_another_error(message: bytes) -> None:
    with suppress(MalformedError):
        assert isinstance(blobs(message, 1), list)
