"""An OpenID provider on this machine that plays Microsoft in its clouds, Google, and any other one.

What Mailgrant asks of Microsoft Graph and of the Gmail API is answered here too.

Bottom to top:

- ``temperaments``, ``models``: values. ``store``: everything the provider remembers, in memory.
- ``refusals``: why a request is refused. ``dialect``: what differs between the providers that are played,
  with ``microsoft``, ``google`` and ``openid`` as its implementations.
- ``clouds``, ``permissions``, ``work_tokens``: Microsoft's clouds, what may be asked for there, and access
  tokens that can be read. ``assertions``, ``applications``: JWTs that clients sign, and Microsoft's rules.
- ``requests``, ``grants``, ``own_grants``, ``oauth``: Authlib's authorization server over that memory.
- ``mail_api``, ``graph``, ``gmail``: Microsoft Graph and the Gmail API, which take its access tokens.
- ``faults``: failures that a test orders. ``pages``, ``interactions``: what a person sees and clicks.
- ``control``: the API by which tests arrange things and look behind the scenes.
- ``urls``, ``answers``, ``web``: addresses and what they answer.
- ``server``: the https server. ``__main__``: the same as a process.
- ``control_client``, ``scripted``: for tests and the demo; they speak to the provider over https only.
"""

from sandbox.provider.control_client import ControlClient
from sandbox.provider.server import Provider

__all__ = ["ControlClient", "Provider"]
