"""The wake-up that tells workers that looking for work may be worth while. Losing one costs time, never a job."""

from typing import Protocol


class Notifier(Protocol):
    def notify(self, queue: str, count: int) -> None:
        """Let up to `count` processes look into the queue. Returns at once and never raises."""
        ...
