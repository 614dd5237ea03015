"""What a notebook imports: its server for the phantom competition."""

import kaggle_evaluation.core.templates
from kaggle_evaluation.gait_gateway import GaitGateway


class GaitInferenceServer(kaggle_evaluation.core.templates.InferenceServer):
    """Serves `predict(row, signal)`, which returns the probability of a fall."""

    def _get_gateway_for_test(
        self, data_paths: tuple[str, ...] | None, file_share_dir: str | None = None
    ) -> GaitGateway:
        return GaitGateway(data_paths, file_share_dir)
