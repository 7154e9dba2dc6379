"""An OpenID provider on this machine that plays Microsoft in its clouds, Google, and any other one.

Bottom to top:

- ``temperaments``, ``models``: values. ``store``: everything the provider remembers, in memory.
- ``refusals``: why a request is refused. ``dialect``: what differs between the providers that are played,
  with ``microsoft``, ``google`` and ``openid`` as its implementations.
- ``clouds``, ``assertions``, ``applications``: Microsoft's clouds, JWTs that clients sign, and Microsoft's
  rules for them.
- ``requests``, ``grants``, ``own_grants``, ``oauth``: Authlib's authorization server over that memory.
- ``faults``: failures that a test orders. ``pages``, ``interactions``: what a person sees and clicks.
- ``control``: the API by which tests arrange things and look behind the scenes.
- ``urls``, ``answers``, ``web``: addresses and what they answer.
- ``server``: the https server. ``__main__``: the same as a process.
- ``control_client``, ``scripted``: for tests and the demo; they speak to the provider over https only.
"""

from sandbox.provider.control_client import ControlClient
from sandbox.provider.server import Provider

__all__ = ["ControlClient", "Provider"]
