"""How long a session waits for its server."""

from __future__ import annotations

from typing import Any


def patience() -> Any:
    """A retry policy: ten seconds or so for a network that stumbles, once. After waiting in vain nothing waits again.

    The default goes on for ten minutes, for each statement. A server that restarts has lost the session in any case,
    and a step that sends many statements, as a gate does, would wait for every one.
    """
    from pyspark.sql.connect.client.retries import DefaultPolicy, RetryPolicyState

    class Budget(RetryPolicyState):  # type: ignore[misc]
        def next_attempt(self, exception: BaseException | None = None) -> Any:
            wait = super().next_attempt(exception)
            if wait is None:
                self.policy.max_retries = 0
            return wait

    class Patience(DefaultPolicy):  # type: ignore[misc]
        def to_state(self) -> RetryPolicyState:
            return Budget(self)

    return Patience(max_retries=6, max_backoff=3000)
