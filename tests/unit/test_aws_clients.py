"""How AWS clients are made."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

from botocore.hooks import HierarchicalEmitter

from chalicelib.aws.clients import Clients
from chalicelib.settings import Settings


class Session:
    """Stands for boto3's session; notes how many clients were being made at the same time."""

    def __init__(self) -> None:
        self.most = 0
        self._now = 0
        self._lock = threading.Lock()

    def client(self, name: str, **_: Any) -> Any:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        time.sleep(0.02)
        with self._lock:
            self._now -= 1
        return SimpleNamespace(name=name, meta=SimpleNamespace(events=HierarchicalEmitter()))


def test_threads_make_their_clients_one_after_the_other() -> None:
    clients, session = Clients(Settings(stage="test", region="eu-west-1", bucket="none")), Session()
    clients.__dict__["_session"] = session

    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda name: getattr(clients, name).name, ["dynamodb", "kms", "sqs", "ssm"]))

    assert made == ["dynamodb", "kms", "sqs", "ssm"]
    assert session.most == 1
