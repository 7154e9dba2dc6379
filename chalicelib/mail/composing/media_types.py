"""What kind of file an attachment is: the type that the caller names, or the one that its ending tells."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from chalicelib.errors import InvalidInput
from chalicelib.mail.composing import text

OCTETS = "application/octet-stream"

LONGEST = 1_000
"""Characters of a media type with its parameters."""

_RESTRICTED_NAME = r"[A-Za-z0-9!#$&^_.+-]{1,127}"
"""RFC 6838, section 4.2."""
_TYPE = re.compile(rf"[ \t]*({_RESTRICTED_NAME}/{_RESTRICTED_NAME})[ \t]*")
_PARAMETER = re.compile(
    r""";[ \t]*([A-Za-z0-9-]{1,40})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s;"\\]+))[ \t]*"""
)
_CHARSET = re.compile(r"[A-Za-z0-9._:+-]{1,40}")
_METHOD = re.compile(r"[A-Za-z0-9-]{1,40}")
"""A charset's name (RFC 2978, section 2.3), and a calendar's method (RFC 5545, section 3.7.2)."""

_STRUCTURAL = frozenset({"boundary", "start", "start-info", "filename"})
"""Parameters that are Mailgrant's own to write."""

_METHOD_LINE = re.compile(
    rb"^METHOD(?:;[^:\r\n]*)?:[ \t]*([A-Za-z0-9-]{1,40})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE
)

CALENDAR = "text/calendar"


@dataclass(frozen=True, slots=True)
class MediaType:
    """A media type in lower case, such as ``text/csv``, with its parameters in their order."""

    name: str
    parameters: dict[str, str] = field(default_factory=dict)


def of_file(filename: str, content: bytes, content_type: str | None, field: str) -> MediaType:
    """The type of an attachment, as the caller names it, or else as the ending of its name tells it.

    Text without a charset is told as UTF-8 where it is that; a calendar carries the method that stands in it
    (RFC 6047, section 2.4). Raises InvalidInput, naming `field`.
    """
    media_type = guess(filename) if content_type is None else parse(content_type, field)
    parameters = dict(media_type.parameters)
    if media_type.name.startswith("text/") and "charset" not in parameters and _is_utf8(content):
        parameters["charset"] = "utf-8"
    if media_type.name == CALENDAR:
        parameters |= _method(content, parameters.get("method"), field)
    return MediaType(media_type.name, parameters)


def guess(filename: str) -> MediaType:
    """The type that the last ending of a file's name tells: that of ``a.csv.gz`` is gzip's."""
    ending = filename.rpartition(".")[2].lower() if "." in filename else ""
    return MediaType(_BY_ENDING.get(ending, OCTETS))


def parse(value: str, field: str) -> MediaType:
    """The media type of one file with its parameters, each of which is written anew.

    Raises InvalidInput for what is no media type, for types of several parts, and for parameters that are
    Mailgrant's own to write.
    """
    head = _TYPE.match(text.single_line(value, field)) if len(value) <= LONGEST else None
    if head is None or head[1].lower().startswith(("multipart/", "message/")):
        raise InvalidInput(
            "This is not the media type of one file.",
            fix="Write type/subtype, such as application/pdf, perhaps with charset, name or method;"
            " not multipart or message.",
            field=field,
        )
    return MediaType(head[1].lower(), _parameters(value[head.end() :].rstrip(" \t;"), field))


def _parameters(rest: str, field: str) -> dict[str, str]:
    parameters: dict[str, str] = {}
    position = 0
    while position < len(rest):
        match = _PARAMETER.match(rest, position)
        if match is None:
            raise InvalidInput(
                f"The media type's parameters cannot be read from here: {rest[position : position + 40]}",
                fix='Write each as ; name=value, with quotes around a value such as "two words".',
                field=field,
            )
        name = match[1].lower()
        value = re.sub(r"\\(.)", r"\1", match[2]) if match[3] is None else match[3]
        parameters[name] = _checked(name, value, parameters, field)
        position = match.end()
    return parameters


def _checked(name: str, value: str, parameters: dict[str, str], field: str) -> str:
    """The value, if the parameter may stand here, for the first time, with this value."""
    if name in _STRUCTURAL:
        raise InvalidInput(
            f"The parameter {name} cannot be set here.",
            fix="Leave it out: it is written by Mailgrant.",
            field=field,
        )
    if name in parameters:
        raise InvalidInput(f"The parameter {name} stands twice.", fix="Write it once.", field=field)
    if name == "name":
        return text.file_name(value, field)
    pattern = {"charset": _CHARSET, "method": _METHOD}.get(name)
    if (pattern and not pattern.fullmatch(value)) or not value.isascii() or "=?" in value:
        raise InvalidInput(
            f"The parameter {name} has a value that it cannot have.",
            fix="Write it in ASCII, such as charset=utf-8 or method=REQUEST.",
            field=field,
        )
    return value


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in content


def _method(content: bytes, named: str | None, field: str) -> dict[str, str]:
    """The parameter `method` of a calendar, which must equal the property METHOD in it."""
    line = _METHOD_LINE.search(content)
    inside = line[1].decode().upper() if line else None
    if named is not None and inside is not None and named.upper() != inside:
        raise InvalidInput(
            f"The calendar says METHOD:{inside}, and its media type method={named}.",
            fix="Let both say the same, or leave the parameter out.",
            field=field,
        )
    method = named or inside
    return {} if method is None else {"method": method.upper()}


_OFFICE = "application/vnd.openxmlformats-officedocument"
_OPEN = "application/vnd.oasis.opendocument"
_BY_ENDING = {
    "7z": "application/x-7z-compressed",
    "aac": "audio/aac",
    "avif": "image/avif",
    "avi": "video/x-msvideo",
    "bmp": "image/bmp",
    "bz2": "application/x-bzip2",
    "css": "text/css",
    "csv": "text/csv",
    "doc": "application/msword",
    "docm": "application/vnd.ms-word.document.macroEnabled.12",
    "docx": f"{_OFFICE}.wordprocessingml.document",
    "dotx": f"{_OFFICE}.wordprocessingml.template",
    "epub": "application/epub+zip",
    "flac": "audio/flac",
    "gif": "image/gif",
    "gz": "application/gzip",
    "heic": "image/heic",
    "htm": "text/html",
    "html": "text/html",
    "ico": "image/vnd.microsoft.icon",
    "ics": CALENDAR,
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "js": "text/javascript",
    "json": "application/json",
    "log": "text/plain",
    "m4a": "audio/mp4",
    "md": "text/markdown",
    "mov": "video/quicktime",
    "mp3": "audio/mpeg",
    "mp4": "video/mp4",
    "mpeg": "video/mpeg",
    "mpg": "video/mpeg",
    "odg": f"{_OPEN}.graphics",
    "odp": f"{_OPEN}.presentation",
    "ods": f"{_OPEN}.spreadsheet",
    "odt": f"{_OPEN}.text",
    "ogg": "audio/ogg",
    "p7m": "application/pkcs7-mime",
    "p7s": "application/pkcs7-signature",
    "pdf": "application/pdf",
    "png": "image/png",
    "ppt": "application/vnd.ms-powerpoint",
    "pptx": f"{_OFFICE}.presentationml.presentation",
    "ps": "application/postscript",
    "rar": "application/vnd.rar",
    "rtf": "application/rtf",
    "svg": "image/svg+xml",
    "tar": "application/x-tar",
    "tgz": "application/gzip",
    "tif": "image/tiff",
    "tiff": "image/tiff",
    "txt": "text/plain",
    "vcf": "text/vcard",
    "wav": "audio/wav",
    "webm": "video/webm",
    "webp": "image/webp",
    "xhtml": "application/xhtml+xml",
    "xls": "application/vnd.ms-excel",
    "xlsm": "application/vnd.ms-excel.sheet.macroEnabled.12",
    "xlsx": f"{_OFFICE}.spreadsheetml.sheet",
    "xml": "application/xml",
    "xz": "application/x-xz",
    "yaml": "application/yaml",
    "yml": "application/yaml",
    "zip": "application/zip",
    "zst": "application/zstd",
}
"""Media types as IANA registers them, or as the makers of a format name it. A table of our own, so that every
machine tells the same type. Mail within mail (eml, msg) is none of one file, and goes as octets."""
