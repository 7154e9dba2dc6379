"""Lists of addresses in a header that somebody else wrote (RFC 5322, section 3.4), read in linear time.

Only what every reader takes for the same addresses is read: no route, no quoted local part, no address
literal, no blank or comment within an address, no comment that could hold an address. All else is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from chalicelib.mail.composing.addresses import Address

MOST = 5_000
"""Addresses of one field; more than any provider takes at a time."""

_ATOM = r"[^\s()<>\[\]:;@\\,.\"\x00-\x1f\x7f]"
_TOKEN = re.compile(
    rf"""(?P<b>[ \t]+)
    |(?P<q>"(?:[^"\\]|\\[ -~])*")
    |(?P<c>\([^()<>\[\]:;@\\,"]*\))
    |(?P<a>(?:{_ATOM}|\.)+@[A-Za-z0-9.-]+)
    |(?P<w>{_ATOM}(?:{_ATOM}|\.)*)
    |(?P<s>[<>,:;])""",
    re.VERBOSE,
)
"""Blank, quoted string, comment, address, word of a phrase, special character."""

_ADDRESS = re.compile(rf"(?!.*=\?){_ATOM}+(?:\.{_ATOM}+)*@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*")
"""Without an encoded word, which some readers decode and others do not."""

_MAILBOX = re.compile(r"c*ac*|[qwc]*<a>c*")
"""The kinds of tokens that make a mailbox."""

_GROUP_NAME = re.compile(r"[qwc]*[qw][qwc]*")


class UnreadableError(Exception):
    """A list that readers may read in more than one way; the text says why, for the sentence "its To …"."""


class AddressList(NamedTuple):
    """The addresses in their order, and whether any of them stands in a group."""

    people: list[Address]
    has_group: bool


class _Token(NamedTuple):
    kind: str
    text: str


def read(text: str) -> AddressList:
    """The addresses of a field's text, with their names as they stand there, unquoted and not decoded.

    Raises UnreadableError.
    """
    people: list[Address] = []
    element: list[_Token] = []
    tokens = [*_tokens(text), _Token(",", ",")]
    has_group = any(token.kind == ":" for token in tokens)
    in_group = after_group = False
    for token in tokens:
        if token.kind not in ",:;":
            element.append(token)
            continue
        if token.kind == ":":
            _require_group_name(element, in_group=in_group or after_group)
            in_group = True
        else:
            if not element and has_group and not after_group and token.kind != ";":
                raise UnreadableError("holds a comma too many beside a group")
            _add_mailbox(people, element, may_stand=not after_group)
            after_group = token.kind == ";"
            if after_group and not in_group:
                raise UnreadableError("holds a semicolon where a comma is meant")
            in_group = in_group and not after_group
        element = []
    if in_group:
        raise UnreadableError("holds a group that does not end")
    return AddressList(people, has_group)


def _tokens(text: str) -> Iterator[_Token]:
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise UnreadableError("can be read in more than one way")
        kind = match.lastgroup or ""
        if kind != "b":
            yield _Token(match[0] if kind == "s" else kind, match[0])
        position = match.end()


def _require_group_name(element: list[_Token], *, in_group: bool) -> None:
    if in_group or not _GROUP_NAME.fullmatch("".join(token.kind for token in element)):
        raise UnreadableError("can be read in more than one way")


def _add_mailbox(people: list[Address], element: list[_Token], *, may_stand: bool) -> None:
    """Adds the mailbox, if there is one: nothing between two commas names nobody."""
    if not element:
        return
    kinds = "".join(token.kind for token in element)
    address = next((token.text for token in element if token.kind == "a"), "")
    if not may_stand or not _MAILBOX.fullmatch(kinds) or not _ADDRESS.fullmatch(address):
        raise UnreadableError("can be read in more than one way")
    if len(people) == MOST:
        raise UnreadableError(f"names more than {MOST:,} addresses; name recipients beside raw")
    people.append(Address(address, _name(element)))


def _name(element: list[_Token]) -> str:
    words = (token for token in element if token.kind in "qw")
    return " ".join(_unquoted(token.text) if token.kind == "q" else token.text for token in words)


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1])
