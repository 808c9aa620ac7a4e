"""What goes over the broker: a task name and queue names. The message is a doorbell and says nothing else."""

from typing import Final, Literal

Queue = Literal["cpu", "gpu"]
QUEUES: Final[tuple[Queue, ...]] = ("cpu", "gpu")
WORK_TASK: Final = "convscope.work"
