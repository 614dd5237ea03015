"""What a gateway does beside calling: share files, check answers, write the submission."""

import enum
import json
import os
import subprocess
from pathlib import Path
from socket import gaierror
from typing import Any

import grpc
import pandas as pd
import polars as pl

from kaggle_evaluation.core import relay

SHARED = "/kaggle/shared/"  # what the notebook's container sees of the gateway's
IS_RERUN = os.getenv("KAGGLE_IS_COMPETITION_RERUN") is not None
TABLES = (pl.DataFrame, pl.Series, pd.DataFrame, pd.Series)
MOST_DETAILS = 8000  # characters


class GatewayRuntimeErrorType(enum.Enum):
    """The kinds of failure; the competitor is shown a sentence for each."""

    UNSPECIFIED = 0
    SERVER_NEVER_STARTED = 1
    SERVER_CONNECTION_FAILED = 2
    SERVER_RAISED_EXCEPTION = 3
    SERVER_MISSING_ENDPOINT = 4
    GATEWAY_RAISED_EXCEPTION = 5
    INVALID_SUBMISSION = 6
    GRPC_DEADLINE_EXCEEDED = 7


class GatewayRuntimeError(Exception):
    """A failure of one of the kinds, with what is known of it."""

    def __init__(self, error_type: GatewayRuntimeErrorType, error_details: str | None = None):
        super().__init__(error_type.name, error_details)
        self.error_type = error_type
        self.error_details = error_details


class BaseGateway:
    """A gateway that calls one server, or several by their names."""

    def __init__(
        self,
        data_paths: tuple[str, ...] | None = None,
        file_share_dir: str | None = SHARED,
        target_column_name: str | None = None,
        row_id_column_name: str | None = None,
        server_names: list[str] | None = None,
    ) -> None:
        self.data_paths = data_paths
        self.file_share_dir = file_share_dir or SHARED
        self.target_column_name = target_column_name
        self.row_id_column_name = row_id_column_name
        self.server_names = server_names or ["default"]
        self.clients = {name: relay.Client(_address(name)) for name in self.server_names}
        self._shared_a_file = False

    @property
    def client(self) -> relay.Client:
        """Return the only client."""
        return self.clients[self.server_names[0]]

    def set_response_timeout_seconds(self, timeout_seconds: float) -> None:
        """Set how long an answer may take, the first one excepted."""
        for client in self.clients.values():
            client.endpoint_deadline_seconds = timeout_seconds

    def predict(self, *args: Any, server_name: str | None = None, **kwargs: Any) -> Any:
        """Send data to a server and return its answer."""
        client = self.clients[server_name or self.server_names[0]]
        try:
            return client.send("predict", *args, **kwargs)
        except Exception as error:  # noqa: BLE001 - sorted below
            self.handle_server_error(error, "predict")

    def share_files(self, input_paths: list[str]) -> list[str]:
        """Show files to the server below /kaggle/shared, and return their paths there."""
        shared = Path(self.file_share_dir)
        if not self._shared_a_file and shared.exists() and any(shared.iterdir()):
            raise GatewayRuntimeError(
                GatewayRuntimeErrorType.GATEWAY_RAISED_EXCEPTION,
                f"`file_share_dir` must be an empty directory: {shared}",
            )
        self._shared_a_file = True
        outputs = []
        for path in map(Path, input_paths):
            if not path.exists():
                raise GatewayRuntimeError(
                    GatewayRuntimeErrorType.GATEWAY_RAISED_EXCEPTION,
                    f"Input path {path} does not exist",
                )
            output = shared / str(path.absolute()).lstrip("/")
            output.parent.mkdir(parents=True, exist_ok=True)
            if IS_RERUN:
                output.mkdir(exist_ok=True) if path.is_dir() else output.touch()
                subprocess.run(["mount", "--bind", path, output], check=True)
            else:
                output.symlink_to(path.absolute())
            outputs.append(str(output))
        return outputs

    def check_rows(self, answer: Any, row_ids: Any) -> None:
        """Raise unless an answer holds as many rows as were asked for."""
        invalid = GatewayRuntimeErrorType.INVALID_SUBMISSION
        if answer is None:
            raise GatewayRuntimeError(invalid, "No prediction received")
        if not isinstance(answer, (*TABLES, bool, int, float, str)):
            raise GatewayRuntimeError(
                invalid, f"Invalid prediction data type, received: {type(answer)}"
            )
        received = len(answer) if isinstance(answer, TABLES) else 1
        expected = len(row_ids) if isinstance(row_ids, TABLES) else 1
        if received != expected:
            raise GatewayRuntimeError(
                invalid,
                f"Invalid predictions: expected {expected} rows but received {received}",
            )

    def write_submission(self, predictions: list[Any], row_ids: list[Any]) -> None:
        """Write submission.parquet: the ids first, then what was predicted."""
        answers = self._table(predictions, self.target_column_name)
        ids = self._table(row_ids, self.row_id_column_name)
        rest = [name for name in answers.columns if name not in ids.columns]
        answers.with_columns(ids).select(*ids.columns, *rest).write_parquet("submission.parquet")

    def _table(self, parts: list[Any], name: str | None) -> pl.DataFrame:
        parts = [
            pl.from_pandas(part) if isinstance(part, pd.DataFrame | pd.Series) else part
            for part in parts
        ]
        if not isinstance(parts[0], pl.DataFrame | pl.Series):
            return pl.DataFrame({name or "": parts})
        try:
            joined = pl.concat(parts, how="vertical_relaxed")
        except (pl.exceptions.SchemaError, pl.exceptions.ShapeError) as error:
            raise GatewayRuntimeError(
                GatewayRuntimeErrorType.INVALID_SUBMISSION, f"Inconsistent predictions: {error}"
            ) from None
        return joined if isinstance(joined, pl.DataFrame) else joined.to_frame()

    def write_result(self, error: GatewayRuntimeError | None = None) -> None:
        """Write result.json."""
        result: dict[str, Any] = {"Succeeded": error is None}
        if error is not None:
            result["ErrorType"] = error.error_type.value
            result["ErrorName"] = error.error_type.name
            result["ErrorDetails"] = (error.error_details or "")[:MOST_DETAILS] or None
        Path("result.json").write_text(json.dumps(result))

    def handle_server_error(self, error: Exception, endpoint: str) -> None:
        """Raise the failure that an exception of a call is."""
        kinds, text = GatewayRuntimeErrorType, str(error)
        if isinstance(error, gaierror) or "Failed to connect to server after" in text:
            raise GatewayRuntimeError(kinds.SERVER_NEVER_STARTED, text) from None
        if f"No listener for {endpoint} was registered" in text:
            details = f"Server did not register a listener for {endpoint}"
            raise GatewayRuntimeError(kinds.SERVER_MISSING_ENDPOINT, details) from None
        if isinstance(error, relay.GRPCDeadlineError):
            raise GatewayRuntimeError(kinds.GRPC_DEADLINE_EXCEEDED) from None
        if isinstance(error, grpc.RpcError) and "Exception calling application" in text:
            details = error.details().partition("Exception calling application: ")[2]
            raise GatewayRuntimeError(kinds.SERVER_RAISED_EXCEPTION, details) from None
        if isinstance(error, grpc.RpcError | relay.ServerDiedError):
            raise GatewayRuntimeError(kinds.SERVER_CONNECTION_FAILED, text) from None
        raise error


def _address(name: str) -> str:
    if not IS_RERUN:
        return "localhost"
    return "inference_server" if name == "default" else f"inference_server_{name}"
