"""A provider that speaks HTTP/2 over TLS and nothing else: answers 200, and keeps the request's headers."""

from __future__ import annotations

import asyncio
import ssl
from types import TracebackType
from typing import Self

import h2.config
import h2.connection
import h2.events


class Http2Provider:
    """`async with Http2Provider(tls) as provider`: serves on a port of its own; `tls` has to offer `h2`."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self.received: list[dict[str, str]] = []
        self.port = 0
        self._tls = tls
        self._server: asyncio.Server | None = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        config = h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        connection = h2.connection.H2Connection(config=config)
        connection.initiate_connection()
        writer.write(connection.data_to_send())
        while received := await reader.read(65_536):
            for event in connection.receive_data(received):
                match event:
                    case h2.events.RequestReceived(headers=headers):
                        self.received.append({str(name): str(value) for name, value in headers or ()})
                    case h2.events.DataReceived(flow_controlled_length=length, stream_id=stream_id):
                        connection.acknowledge_received_data(length or 0, stream_id or 0)
                    case h2.events.StreamEnded(stream_id=stream_id):
                        answer = [(b":status", b"200"), (b"content-type", b"application/json")]
                        connection.send_headers(stream_id or 0, answer)
                        connection.send_data(stream_id or 0, b"{}", end_stream=True)
            writer.write(connection.data_to_send())
            await writer.drain()
        writer.close()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
