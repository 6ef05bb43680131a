"""What the student remembers of one target: the LSTM's state, and when it goes back to the beginning.

In training the student never sees more than 32 frames. So the authors' trackers keep the state after the first
update, and take it up again before the updates 32, 64, ... (the first update is number 1; the published
`track/Trackers.py`). The target's first appearance is in it.
"""

from __future__ import annotations

from trainer.student import LSTMState

PERIOD = 32
"""Updates from one return to the next: the length of a window of the transfer set."""


class Memory:
    """The state of one target.

    Args:
        state: Before the first update, (1, width).
        period: Updates from one return to the next; 0 never returns.
    """

    def __init__(self, state: LSTMState, period: int = PERIOD) -> None:
        self._state = state
        self._first: LSTMState | None = None
        self._period = period
        self._number = 1

    def recall(self) -> LSTMState:
        """The state that the coming update begins with."""
        returns = self._period and self._number % self._period == 0
        return self._first if returns and self._first is not None else self._state

    def keep(self, state: LSTMState) -> None:
        """End an update with the state that the student returned."""
        self._state = state
        if self._number == 1:
            self._first = state
        self._number += 1
