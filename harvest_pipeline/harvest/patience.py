"""How long is waited for Harvest: one value that every module of this package gets.

Belongs here: time-outs, numbers of attempts, the length of pauses.
Does not belong here: Harvest's request limits (limits.py), and waiting itself.
"""

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Patience:
    """Time-outs and pauses; all in seconds but `attempts`.

    `deadline` bounds one exchange from its first to its last byte. Pauses between the `attempts`
    double from `first_pause` up to `longest_pause`. `reread_pause` stands before a list is read
    again, longer than the second that Harvest's clock resolves. `throttle_cap` bounds what one
    request waits because of 429.
    """

    connect: float = 5.0
    read: float = 30.0
    deadline: float = 60.0
    attempts: int = 5
    first_pause: float = 1.0
    longest_pause: float = 30.0
    reread_pause: float = 2.5
    throttle_cap: float = 20 * 60.0

    def pause_after(self, failures: int) -> float:
        """The pause after so many failures (from 1), half to one and a half times its mean.

        The spread keeps requests that failed together from coming back together.
        """
        mean = min(self.longest_pause, self.first_pause * 2 ** (failures - 1))
        return mean * random.uniform(0.5, 1.5)  # noqa: S311 - no cryptography
