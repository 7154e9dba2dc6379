"""Microsoft's permissions, as data; see https://learn.microsoft.com/graph/permissions-reference."""

from __future__ import annotations

OF_MAIL = frozenset(
    {"SMTP.Send", "IMAP.AccessAsUser.All", "POP.AccessAsUser.All", "Mail.Send", "Mail.ReadWrite"}
)
OF_GRAPH = OF_MAIL | {"Mail.Send.Shared", "User.Read"}
ROLES_OF_GRAPH = frozenset({"Mail.Send", "User.Read.All"})
"""What an application may do by itself at Graph; its other roles are those of the mail servers."""
TEXTS = {
    "openid": "Sign you in",
    "profile": "View your basic profile",
    "email": "View your email address",
    "offline_access": "Maintain access to data you have given it access to",
    "SMTP.Send": "Send emails from your mailbox using SMTP",
    "IMAP.AccessAsUser.All": "Read and write your mailbox using IMAP",
    "POP.AccessAsUser.All": "Read your mailbox using POP",
    "Mail.Send": "Send mail as you",
    "User.Read": "Sign you in and read your profile",
}
"""How the consent page names them."""
