"""When an evaluation has to end that may take only so many minutes."""

import time

from trm.runtime.process_group import ProcessGroup

#: What counting votes, writing results and ending the processes may take: this share of the limit,
#: within these seconds.
_END_SHARE, _LEAST_END_S, _MOST_END_S = 0.01, 4.0, 20.0
#: The bytes of answers that are compressed and written in a second at least.
_SLOW_WRITING = 20e6


class TimeLimit:
    """Ends an evaluation before the batch that would take too long.

    Only the first process looks at the time, and all end at the same batch.

    Args:
        minutes: the limit; None for none.
        began: when the command began, by ``time.monotonic``.
        num_bytes: the size of the file of predictions to write, before compression: the answers
            that are known already.
        batch_bytes: by how much each batch makes it larger.
    """

    def __init__(
        self, minutes: float | None, began: float, num_bytes: int = 0, batch_bytes: int = 0
    ) -> None:
        self._ends = None
        if minutes is not None:
            seconds = 60 * minutes
            kept = min(max(_LEAST_END_S, _END_SHARE * seconds), _MOST_END_S)
            self._ends = began + seconds - kept - num_bytes / _SLOW_WRITING
        self._writing_s = batch_bytes / _SLOW_WRITING
        self._before = time.monotonic()
        self._batch_s = [0.0, 0.0]

    def is_over(self, group: ProcessGroup) -> bool:
        """Whether there is no time for another batch. Call it after each one."""
        if self._ends is None:
            return False
        now = time.monotonic()
        self._ends -= self._writing_s
        self._batch_s = [self._batch_s[1], now - self._before]
        self._before = now
        # The first batch may take minutes to compile: the shorter one of the last two counts.
        over = group.is_first and now + min(self._batch_s) > self._ends
        return group.any_process(over)[0]
