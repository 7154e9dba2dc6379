"""The queues of the token care: chunks of accounts to refresh, and rescued grants."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.aws.failures import translated

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


class Queue:
    """One SQS queue."""

    def __init__(self, client: SQSClient, url: str) -> None:
        self._client = client
        self._url = url

    def put(self, body: str) -> None:
        """Hands in one message. Raises Unavailable."""
        with translated("The queue"):
            self._client.send_message(QueueUrl=self._url, MessageBody=body)

    def take(self, *, wait: int = 0) -> list[tuple[str, str]]:
        """Up to ten (receipt, body), hidden from others for the queue's visibility timeout.

        Waits up to `wait` seconds for one. With 0 SQS asks some of its servers only, so that an empty answer
        proves nothing (Developer Guide, "Short and long polling").
        """
        with translated("The queue"):
            answer = self._client.receive_message(
                QueueUrl=self._url, MaxNumberOfMessages=10, WaitTimeSeconds=wait
            )
        return [(message["ReceiptHandle"], message["Body"]) for message in answer.get("Messages", [])]

    def depth(self) -> int:
        """About how many messages it holds, those that somebody works at among them. Raises Unavailable."""
        with translated("The queue"):
            answer = self._client.get_queue_attributes(
                QueueUrl=self._url,
                AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
            )
        return sum(int(count) for count in answer["Attributes"].values())

    def put_back(self, receipt: str) -> None:
        """Lets others see at once what was taken."""
        with translated("The queue"):
            self._client.change_message_visibility(
                QueueUrl=self._url, ReceiptHandle=receipt, VisibilityTimeout=0
            )

    def done(self, receipt: str) -> None:
        """Removes one that was taken."""
        with translated("The queue"):
            self._client.delete_message(QueueUrl=self._url, ReceiptHandle=receipt)
