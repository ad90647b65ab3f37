"""Being told to stop, in a process that runs an event loop."""

from __future__ import annotations

import asyncio
import signal


def stop_signal() -> asyncio.Future[signal.Signals]:
    """The next SIGTERM or SIGINT, from this call on. Later ones are ignored until this is called again."""
    loop = asyncio.get_running_loop()
    received: asyncio.Future[signal.Signals] = loop.create_future()

    def receive(number: signal.Signals) -> None:
        if not received.done():
            received.set_result(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, receive, number)
    return received
