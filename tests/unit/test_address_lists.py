"""Lists of addresses of raw mail: what is read is what other readers read, and all in linear time."""

from __future__ import annotations

import inspect
import sys
from email.headerregistry import AddressHeader, HeaderRegistry
from email.utils import getaddresses
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.mail.composing import address_lists
from chalicelib.mail.composing.address_lists import UnreadableError

LOOSE: dict[str, Any] = {"strict": False} if "strict" in inspect.signature(getaddresses).parameters else {}

PIECES = st.sampled_from(
    [
        *(
            "a@x.de",
            "b.c@y.example",
            "ada@contoso.test",
            "a",
            "b.",
            ".c",
            "J.",
            "@",
            "x.de",
            "=?utf-8?q?a=40b?=",
        ),
        *(
            ",",
            ";",
            ":",
            "<",
            ">",
            "<a@x.de>",
            " ",
            "  ",
            "\t",
            '"',
            '"q"',
            '"a, b@c.d"',
            '"\\""',
            "\\",
            "(",
            ")",
        ),
        *(
            "(c)",
            "(c (d))",
            "(a@x.de)",
            "Team:",
            "[",
            "]",
            "[127.0.0.1]",
            ".",
            "-",
            "=?",
            "?=",
            "'",
            "!",
            "%",
        ),
        *("<@r.de:a@x.de>", "a@x.de.", "a @ x.de", "undisclosed-recipients:;"),
    ]
)
TEXTS = st.one_of(
    st.lists(PIECES, max_size=12).map("".join),
    st.lists(PIECES, max_size=12).map(" ".join),
    st.text(alphabet='a@.,;:<>()"\\ []=?', max_size=24),
)


def read(text: str) -> list[str]:
    """The addresses that our reader finds."""
    return [person.address for person in address_lists.read(text).people]


def _of_registry(text: str) -> list[str] | None:
    """The addresses that the standard library's newer parser finds; None where it breaks (``g:; , a@b``)."""
    try:
        header = HeaderRegistry()("to", text.strip())
    except AttributeError:
        return None
    assert isinstance(header, AddressHeader)
    return [one.addr_spec for one in header.addresses]


@settings(max_examples=1_000, deadline=None)
@given(TEXTS)
def test_ua5_what_is_read_two_other_readers_read_alike(text: str) -> None:
    try:
        people = read(text)
    except UnreadableError:
        return

    assert _of_registry(text) in (people, None)
    assert people == [address for _, address in getaddresses([text], **LOOSE) if address]


@pytest.mark.parametrize(
    ("text", "people"),
    [
        ("", []),
        ("a@x.de", [("", "a@x.de")]),
        ("Ada Lovelace <a@x.de>", [("Ada Lovelace", "a@x.de")]),
        ("Ada<a@x.de>", [("Ada", "a@x.de")]),
        ('"Lovelace, Ada" <a@x.de>, b@x.de', [("Lovelace, Ada", "a@x.de"), ("", "b@x.de")]),
        ('"b@y.de" <a@x.de>', [("b@y.de", "a@x.de")]),
        ('"a \\" b" <a@x.de>', [('a " b', "a@x.de")]),
        ("John Q. Public <a@x.de>", [("John Q. Public", "a@x.de")]),
        ("a@x.de (Ada)", [("", "a@x.de")]),
        ("=?utf-8?q?M=C3=BCller=2C_J?= <a@x.de>", [("=?utf-8?q?M=C3=BCller=2C_J?=", "a@x.de")]),
        ("Team: a@x.de, B <b@x.de>;", [("", "a@x.de"), ("B", "b@x.de")]),
        ("undisclosed-recipients:;", []),
        ("a@x.de,, b@x.de,", [("", "a@x.de"), ("", "b@x.de")]),
    ],
)
def test_ua5_lists_are_read(text: str, people: list[tuple[str, str]]) -> None:
    assert [(one.name, one.address) for one in address_lists.read(text).people] == people


@pytest.mark.parametrize(
    "text",
    [
        "a@x.de b@x.de",
        "a@x.de; b@x.de",
        "b@x.de <a@x.de>",
        "<b@x.de> <a@x.de>",
        "<a@x.de> b@x.de",
        "<@r.de:a@x.de>",
        '"a b"@x.de',
        "a@[127.0.0.1]",
        "a @x.de",
        "a@x.de.",
        "a..b@x.de",
        "a(c)@x.de",
        "a@x.de (b@y.de)",
        "a@x.de (c (d))",
        "a@x.de (, b@y.de)",
        "=?utf-8?q?a?=@x.de",
        "=?utf-8?q?b@y.de?= <a@x.de>",
        'Ada" <a@x.de>',
        "Team: a@x.de",
        "Team: Other: a@x.de;;",
        ": a@x.de;",
        "<>",
        "Ada",
        "a@x.de\\",
    ],
)
def test_ua5_what_readers_could_read_differently_is_refused(text: str) -> None:
    with pytest.raises(UnreadableError):
        read(text)


def test_ua5_more_addresses_than_any_provider_takes_are_refused() -> None:
    assert len(read(", ".join(["a@x.de"] * address_lists.MOST))) == address_lists.MOST
    with pytest.raises(UnreadableError, match="5,000"):
        read(", ".join(["a@x.de"] * (address_lists.MOST + 1)))


@pytest.mark.parametrize(
    "unit", [",", "a@x.de,", "(", "(c)", "<", ":", ";", '"', '"q"', "\\", " ", "a ", ".", "=?", "[", "g:;,"]
)
def test_ua5_the_work_grows_no_faster_than_the_text(unit: str) -> None:
    """Counted in calls of functions, which no machine makes faster or slower."""
    small, large = (_calls(unit * number) for number in (1_000, 4_000))

    assert large <= 4.2 * small + 100


def _calls(text: str) -> int:
    count = 0

    def note(*_: object) -> None:
        nonlocal count
        count += 1

    sys.setprofile(note)
    try:
        read(text)
    except UnreadableError:
        pass
    finally:
        sys.setprofile(None)
    return count
