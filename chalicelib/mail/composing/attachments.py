"""The body that a request asks for: text, HTML, and files, nested as readers expect.

mixed
├─ alternative
│  ├─ text/plain
│  └─ related
│     ├─ text/html
│     └─ each file with a content id
└─ each other file
"""

from __future__ import annotations

from chalicelib.errors import InvalidInput
from chalicelib.mail.composing import media_types, mime, text
from chalicelib.mail.composing.mime import Part
from chalicelib.mail.composing.request import Attachment, SendRequest

MOST_FILES = 1_000


def body(request: SendRequest, seed: str) -> Part:
    """The message's body; `seed` makes the boundaries. Raises InvalidInput, naming the field."""
    shown, kept = _files(request)
    whole = _text(request, shown, seed)
    return mime.multipart("mixed", [whole, *kept], seed) if kept else whole


def _text(request: SendRequest, shown: list[Part], seed: str) -> Part:
    """The text, the HTML with what it shows, or both as alternatives."""
    plain = mime.text(text.content(request.text or "", "text"), "plain")
    if request.html is None:
        return plain
    html = mime.text(text.content(request.html, "html"), "html")
    if shown:
        # The first part is the root (RFC 2387, section 3.2), and `type` is that of it.
        html = mime.multipart("related", [html, *shown], seed, type="text/html")
    return html if request.text is None else mime.multipart("alternative", [plain, html], seed)


def _files(request: SendRequest) -> tuple[list[Part], list[Part]]:
    """The files that the HTML shows, and those to keep."""
    files = request.attachments or []
    if len(files) > MOST_FILES:
        raise InvalidInput(
            f"The message has {len(files)} attachments; {MOST_FILES} are the most.",
            fix="Put them into an archive, or send several messages.",
            field="attachments",
        )
    shown: dict[str, Part] = {}
    kept: list[Part] = []
    for index, file in enumerate(files):
        field = f"attachments[{index}]"
        if file.content_id is None:
            kept.append(_part(file, field))
            continue
        content_id = _content_id(file.content_id, request, shown, f"{field}.content_id")
        shown[content_id] = _part(file, field, content_id)
    return list(shown.values()), kept


def _part(file: Attachment, field: str, content_id: str | None = None) -> Part:
    filename = text.file_name(file.filename, f"{field}.filename")
    media_type = media_types.of_file(filename, file.content, file.content_type, f"{field}.content_type")
    return mime.file(file.content, media_type, filename, content_id=content_id)


def _content_id(value: str, request: SendRequest, shown: dict[str, Part], field: str) -> str:
    """The content id, if there is HTML that can show the part by it, and it is the only one with this id."""
    if request.html is None:
        raise InvalidInput(
            "A content id is for a part of the HTML, and there is none.",
            fix="Add html, or leave content_id out.",
            field=field,
        )
    content_id = text.content_id(value, field)
    if content_id in shown:
        raise InvalidInput(
            f"The content id {content_id} stands twice.",
            fix="Give each part an id of its own; the HTML may show one part many times.",
            field=field,
        )
    return content_id
