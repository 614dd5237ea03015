"""The connection: a client that the gateway calls, a server that the notebook starts."""

import socket
import time
from collections.abc import Callable
from concurrent import futures
from typing import Any

import grpc

from kaggle_evaluation.core import wire

METHOD = "/phantom.Evaluation/Send"
GRPC_PORTS = [50051] + [60053 + 10 * number for number in range(10)]
STARTUP_LIMIT_SECONDS = 60 * 15
DEFAULT_DEADLINE_SECONDS = 60 * 60
RETRY_SECONDS = 0.1
OPTIONS = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


class GRPCDeadlineError(Exception):
    """The server did not answer in time."""


class ServerDiedError(Exception):
    """The server's container is gone."""


class Client:
    """Calls functions of a server by their name."""

    def __init__(self, channel_address: str = "localhost", port: int | None = None) -> None:
        self.channel_address = channel_address
        self.ports = GRPC_PORTS if port is None else [port]
        self.endpoint_deadline_seconds: float = DEFAULT_DEADLINE_SECONDS
        self.channel: grpc.Channel | None = None
        self._connected = False
        self._resolved = False

    def send(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call the server's function `name`; return its answer."""
        request = wire.pack([name, list(args), kwargs])
        return wire.unpack(self._deliver(request))

    def close(self) -> None:
        """End the connection."""
        if self.channel is not None:
            self.channel.close()

    def _deliver(self, request: bytes) -> bytes:
        if self._connected:
            try:
                return self._call(request, self.endpoint_deadline_seconds)
            except grpc.RpcError as error:
                if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
                    raise GRPCDeadlineError() from None
                raise
        # The very first call has no deadline: a server may load its model in it.
        began = time.monotonic()
        while time.monotonic() - began < STARTUP_LIMIT_SECONDS:
            for port in self.ports:
                self.close()
                self.channel = grpc.insecure_channel(f"{self.channel_address}:{port}", OPTIONS)
                try:
                    answer = self._call(request, None)
                    self._connected = True
                    return answer
                except grpc.RpcError as error:
                    if error.code() != grpc.StatusCode.UNAVAILABLE:
                        raise
                self._look_up()
            time.sleep(RETRY_SECONDS)
        raise RuntimeError(
            f"Failed to connect to server after waiting {STARTUP_LIMIT_SECONDS} seconds"
        )

    def _look_up(self) -> None:
        """Raise where the server's name means nothing (any more): its container is not there."""
        try:
            socket.gethostbyname(self.channel_address)
            self._resolved = True
        except socket.gaierror as error:
            if self._resolved:
                raise ServerDiedError(f"The server's container has ended: {error}") from error
            raise

    def _call(self, request: bytes, timeout: float | None) -> bytes:
        assert self.channel is not None
        answer: bytes = self.channel.unary_unary(METHOD)(request, timeout=timeout)
        return answer


class _Handler(grpc.GenericRpcHandler):
    def __init__(self, functions: dict[str, Callable[..., Any]]) -> None:
        self.functions = functions

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        if handler_call_details.method != METHOD:
            return None
        return grpc.unary_unary_rpc_method_handler(self._answer)

    def _answer(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        name, args, kwargs = wire.unpack(request)
        if name not in self.functions:
            raise NotImplementedError(f"No listener for {name} was registered.")
        return wire.pack(self.functions[name](*args, **kwargs))


def define_server(*functions: Callable[..., Any]) -> tuple[grpc.Server, int]:
    """Return a server of some functions, not yet started, and its port."""
    if not functions:
        raise ValueError("Pass at least one function, such as `predict`.")
    if any(function.__name__ == "<lambda>" for function in functions):
        raise ValueError("A function that is served needs a name.")
    # One thread: calls are answered one after the other.
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=1), options=OPTIONS)
    server.add_generic_rpc_handlers((_Handler({f.__name__: f for f in functions}),))
    port = _free_port()
    server.add_insecure_port(f"[::]:{port}")
    return server, port


def _free_port() -> int:
    for port in GRPC_PORTS:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as trial:
            try:
                trial.bind(("localhost", port))
            except OSError:
                continue
            return port
    raise ValueError(f"None of the ports {GRPC_PORTS} is free.")
