"""What the sandbox says once it is up: where everything is, and what to try."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING, Any

from cli.config import SANDBOX_DIRECTORY, user_file

if TYPE_CHECKING:
    from sandbox.stack import Sandbox


def farewell(sandbox: Sandbox, account: str, invited: dict[str, Any]) -> str:
    """Every URL, and things to try: `account` is a connected one by name, `invited` waits for its owner."""
    return f"""
Everything is up; Ctrl-C ends it.

  application      {sandbox.url}
  OpenID provider  {sandbox.provider_url}
  Microsoft Graph  {sandbox.provider_url}/v1.0
  Gmail API        {sandbox.provider_url}/gmail/v1
  mailboxes        {sandbox.mail_url}   (what has arrived)
  AWS              {sandbox.emulator.endpoint}
  logs             {sandbox.directory}

Connect a mailbox yourself, as {invited["address"]}:
  {invited["connect_link"]}
  The browser warns of the sandbox's own CA: go on, or trust {sandbox.authority.cafile}

In another terminal (./mailgrant init sets up a mailbox step by step):
{_choice(sandbox)}  ./mailgrant status
  ./mailgrant accounts list
  ./mailgrant send --account {account} --to you@example.net --subject Hello --text "It works." --follow
  ./mailgrant messages list --account {account}
  ./mailgrant connect {invited["address"]} --wait
  ./mailgrant --help"""


def _choice(sandbox: Sandbox) -> str:
    """The line that makes `./mailgrant` speak to this sandbox, where it would speak to another one."""
    elsewhere = any(os.environ.get(name) for name in ("MAILGRANT_URL", SANDBOX_DIRECTORY))
    if not elsewhere and not user_file(os.environ).exists():
        return ""
    return f"  unset MAILGRANT_URL; export {SANDBOX_DIRECTORY}={shlex.quote(str(sandbox.directory))}\n"
