"""The two classes that a host derives from."""

import abc
import os
import traceback
from collections.abc import Callable, Iterator
from typing import Any

from kaggle_evaluation.core import base_gateway, relay
from kaggle_evaluation.core.base_gateway import GatewayRuntimeError, GatewayRuntimeErrorType


class Gateway(base_gateway.BaseGateway, abc.ABC):
    """Calls `predict` for each batch of the hidden test and writes the submission."""

    @abc.abstractmethod
    def unpack_data_paths(self) -> None:
        """Find the data, in `data_paths` or where Kaggle mounts them."""

    @abc.abstractmethod
    def generate_data_batches(self) -> Iterator[tuple[tuple[Any, ...], Any]]:
        """Yield the arguments of each call, and the ids of the rows it is about."""

    def competition_specific_validation(self, prediction: Any, row_ids: Any, data: Any) -> None:
        """Raise for an answer that this competition does not take."""

    def get_all_predictions(self) -> tuple[list[Any], list[Any]]:
        """Call the server for each batch; return answers and row ids."""
        answers, ids = [], []
        for batch, row_ids in self.generate_data_batches():
            answer = self.predict(*batch)
            self.check_rows(answer, row_ids)
            self.competition_specific_validation(answer, row_ids, batch)
            answers.append(answer)
            ids.append(row_ids)
        return answers, ids

    def run(self) -> None:
        """Do it all; on the rerun leave result.json, elsewhere raise what went wrong."""
        failure: GatewayRuntimeError | None = None
        try:
            self.unpack_data_paths()
            self.write_submission(*self.get_all_predictions())
        except GatewayRuntimeError as error:
            failure = error
        except Exception:  # noqa: BLE001 - whatever it is, result.json says so
            failure = GatewayRuntimeError(
                GatewayRuntimeErrorType.GATEWAY_RAISED_EXCEPTION, traceback.format_exc()
            )
        for client in self.clients.values():
            client.close()
        if base_gateway.IS_RERUN:
            self.write_result(failure)
        elif failure:
            raise failure


class InferenceServer(abc.ABC):
    """What a notebook starts: it serves the functions that it is given."""

    def __init__(self, *functions: Callable[..., Any]) -> None:
        self.server, self.port = relay.define_server(*functions)

    def serve(self) -> None:
        """Start to serve; on the rerun, never return."""
        self.server.start()
        if os.getenv("KAGGLE_IS_COMPETITION_RERUN") is not None:
            self.server.wait_for_termination()

    @abc.abstractmethod
    def _get_gateway_for_test(
        self, data_paths: tuple[str, ...] | None, file_share_dir: str | None = None
    ) -> Gateway:
        """Return a gateway that reads local files."""

    def run_local_gateway(
        self, data_paths: tuple[str, ...] | None = None, file_share_dir: str | None = None
    ) -> None:
        """Run the gateway in this very process."""
        self.server.start()
        try:
            gateway = self._get_gateway_for_test(data_paths, file_share_dir)
            # A new client: it does not know the deadline that the gateway set. So it was in 2026.
            gateway.clients = {"default": relay.Client(port=self.port)}
            gateway.run()
        finally:
            self.server.stop(0)
