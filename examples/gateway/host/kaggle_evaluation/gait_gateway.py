"""The gateway of the phantom competition: one call for each walk."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

import kaggle_evaluation.core.templates
from kaggle_evaluation.core.base_gateway import GatewayRuntimeError, GatewayRuntimeErrorType

RESPONSE_SECONDS = 5 * 60


class GaitGateway(kaggle_evaluation.core.templates.Gateway):
    """Hands over a walk's row of test.csv and the path of its signal."""

    def __init__(
        self, data_paths: tuple[str, ...] | None = None, file_share_dir: str | None = None
    ) -> None:
        super().__init__(data_paths, file_share_dir, target_column_name="fall")
        self.row_id_column_name = "walk_id"
        self.set_response_timeout_seconds(RESPONSE_SECONDS)

    def unpack_data_paths(self) -> None:
        """Find the test table and the folder of the signals."""
        if self.data_paths:
            self.test_path, self.signals = map(Path, self.data_paths)
        else:
            self.test_path = Path("/kaggle/input/phantom-gait/test.csv")
            self.signals = Path("/kaggle/input/phantom-gait/test_signals")

    def generate_data_batches(self) -> Iterator[tuple[tuple[Any, ...], pl.DataFrame]]:
        """Yield a walk at a time, its signal shared just before."""
        test = pl.read_csv(self.test_path, schema_overrides={"walk_id": pl.String})
        for walk_id in test["walk_id"]:
            (signal,) = self.share_files([str(self.signals / f"{walk_id}.npy")])
            row = test.filter(pl.col("walk_id") == walk_id)
            yield (row, signal), pl.DataFrame({"walk_id": [walk_id]})

    def competition_specific_validation(self, prediction: Any, row_ids: Any, data: Any) -> None:
        """Take a number, or a table with a column `fall`."""
        if isinstance(prediction, bool | str):
            raise GatewayRuntimeError(
                GatewayRuntimeErrorType.INVALID_SUBMISSION,
                f"Invalid prediction type, expected a number but got {type(prediction)}",
            )
        if hasattr(prediction, "columns") and "fall" not in prediction.columns:
            raise GatewayRuntimeError(
                GatewayRuntimeErrorType.INVALID_SUBMISSION,
                f"The column fall is missing; got {list(prediction.columns)}",
            )


if __name__ == "__main__" and os.getenv("KAGGLE_IS_COMPETITION_RERUN"):
    GaitGateway().run()
