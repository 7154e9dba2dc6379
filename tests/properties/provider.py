"""A model of a token endpoint with a temperament, and what it remembers of each request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from chalicelib.accounts.models.connector import Connector
from chalicelib.accounts.models.grant import TokenSet
from chalicelib.clock import HOUR
from chalicelib.diagnosis import Diagnosis
from chalicelib.errors import Diagnosed, Unavailable
from chalicelib.providers.replies import diagnose, transient
from chalicelib.secret import Secret
from sandbox.provider.temperaments import Temperament
from tests.properties.turns import Worker


class Refused(Exception):
    """The provider is to say that a token is not good although it is."""


@dataclass(eq=False)
class Post:
    """A request: who asks for which account and with what, and until when the lease lets them."""

    worker: Worker
    account: str
    presented: str
    lease_until: int
    paused_before: int
    given: str | None = None
    """The refresh token that came into being by it."""
    under_way: bool = True
    lost: bool = False
    """Whether the answer never reached the worker."""


class Provider:
    """`step` is done before a request reaches it and before its answer leaves; `asked` hears of each."""

    facts: Any

    def __init__(
        self,
        temperament: Temperament,
        now: Callable[[], int],
        step: Callable[[str], None],
        asked: Callable[[str, str], Post],
        reused: Callable[[Post, Post], None],
    ) -> None:
        self._temperament = temperament
        self._now = now
        self._step = step
        self._asked = asked
        self._reused = reused
        self.account_of: dict[str, str] = {}
        """Each refresh token that was ever given, in their order."""
        self.live: dict[str, set[str]] = {}
        self.consumed: dict[str, Post] = {}
        self.failed: Counter[str] = Counter()
        self.refused_at: dict[str, list[int]] = {}
        self.posts: list[Post] = []

    def new(self, account: str) -> str:
        """A refresh token of the account."""
        token = f"{account}.{len(self.account_of)}"
        self.account_of[token] = account
        self.live.setdefault(account, set()).add(token)
        return token

    def refresh(self, _: Connector, __: Secret, refresh_token: Secret, *_resource: str) -> TokenSet:
        """One request."""
        presented = refresh_token.reveal()
        post = self._asked(self.account_of[presented], presented)
        self.posts.append(post)
        try:
            self._step("ask")
            answer = self._answer(post)
            post.lost = True
            self._step("asked, answer")
            post.lost = False
        except Refused:
            self._refuse(post)
        except Unavailable as lost:
            self.failed[presented] += 1
            raise Diagnosed(transient("no_answer", "The provider did not answer.")) from lost
        finally:
            post.under_way = False
        return answer

    def _answer(self, post: Post) -> TokenSet:
        if post.presented not in self.live[post.account]:
            if self.live[post.account]:
                self.live[post.account].clear()
                self._reused(post, self.consumed[post.presented])
            self._refuse(post)
        newer = None
        if self._temperament.rotates:
            post.given = self.new(post.account)
            newer = Secret(post.given)
        if not self._temperament.old_stays_valid:
            self.live[post.account].discard(post.presented)
            self.consumed[post.presented] = post
        return TokenSet(Secret("access"), self._now() + HOUR, newer)

    def _refuse(self, post: Post) -> None:
        self.failed[post.presented] += 1
        self.refused_at.setdefault(post.presented, []).append(self._now())
        raise Diagnosed(REFUSAL)


REFUSAL: Diagnosis = diagnose("microsoft", {"error": "invalid_grant", "error_codes": [50173]})
