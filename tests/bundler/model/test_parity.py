"""How far an export may be off follows from the network's own noise, within reason."""

import numpy as np
import pytest
import torch

from bundler.errors import CheckError
from bundler.model import golden, parity
from bundler.model.network import Folds
from bundler.model.origin import Reference
from bundler.model.recipe import Recipe
from bundler.model.torch_origin import TorchOrigin
from inference.pixels.preprocess import PreprocessConfig
from tests.bundler.model.checkpoints import ARCH, NORMALIZE, SIZE
from tests.bundler.model.networks import Small


@pytest.mark.parametrize(
    ("precision", "noise", "atol", "tolerance"),
    [
        ("fp32", 0.0, None, 1e-4),
        ("fp32", 1e-7, None, 1e-4),
        ("fp32", 3e-4, None, 1e-3),  # hgnetv2_b1
        ("fp32", 0.2, None, parity.MOST_NOISE),  # chaos is no licence
        ("fp16", 3e-4, None, 5e-3),
        ("int8", 0.0, None, 5e-3),
        ("int8", 0.0, 0.03, 0.03),
        ("fp32", 3e-4, 1e-6, 1e-6),
    ],
)
def test_what_is_allowed(
    precision: str, noise: float, atol: float | None, tolerance: float
) -> None:
    assert parity.allowed(precision, noise, atol) == pytest.approx(tolerance)


class Unstable(Small):
    """Adds a number that drowns its answer in float32, and takes it away again."""

    def forward(self, pixels: torch.Tensor, table: torch.Tensor | None = None) -> torch.Tensor:
        answer = super().forward(pixels)
        return (answer + 3e3) - 3e3


def origin(network: torch.nn.Module) -> TorchOrigin:
    recipe = Recipe(
        arch=ARCH,
        model_kwargs={},
        channels=1,
        head="sigmoid:0",
        normalize=NORMALIZE,
        preprocess=PreprocessConfig(size=SIZE),
    )
    folds = Folds([network.eval()], normalize=NORMALIZE, channels=1).eval()
    return TorchOrigin(network=folds, recipe=recipe, metadata_width=0)


def test_noise_is_measured_against_float64() -> None:
    images = parity.random_images(SIZE)
    calm, unstable = (origin(one).answer(images, None) for one in (Small(), Unstable()))
    assert (calm.kind, unstable.kind) == ("float64", "float64")
    assert calm.noise < 1e-6
    assert 1e-6 < unstable.noise < 1e-3
    # In float64 both are the same network.
    np.testing.assert_allclose(calm.probabilities, unstable.probabilities, atol=1e-9)


def test_the_network_in_memory_stays_in_float32() -> None:
    made = origin(Small())
    made.answer(parity.random_images(SIZE), None)
    assert {one.dtype for one in made.network.parameters()} == {torch.float32}


def test_a_network_that_insists_on_float32_is_its_own_reference() -> None:
    class Insists(Small):
        def forward(self, pixels: torch.Tensor, table: torch.Tensor | None = None) -> torch.Tensor:
            return super().forward(pixels.float())

    assert origin(Insists()).answer(parity.random_images(SIZE), None).kind == "float32"


def test_a_refusal_has_the_figures() -> None:
    reference = Reference(
        probabilities=np.array([0.1, 0.9]),
        logits=np.array([[-2.2], [2.2]]),
        kind="float64",
        noise=2e-5,
        logit_noise=1e-4,
    )
    actual = np.array([0.15, 0.9]), np.array([[-1.7], [2.2]])
    compared = parity.compare(reference, actual, real=0, tolerance=5e-3)
    message = (
        r"int8 is off by 5\.0e-02 in probability \(mean 2\.5e-02, ranks 1\.000; the network itself "
        r"by 2\.0e-05\); at most 5e-03 is allowed.*--precision fp32, or allow more with --atol"
    )
    with pytest.raises(CheckError, match=message):
        parity.check(compared, "int8")


def test_golden_cases_allow_what_the_network_itself_is_off_by() -> None:
    assert golden._tolerance(1e-4, 5e-3, 0.0).cpu == 1e-4
    assert golden._tolerance(1e-4, 5e-3, 3e-4).cpu == pytest.approx(1e-3)


def test_the_reference_takes_all_others_and_as_many_phantoms_as_it_can() -> None:
    assert parity.rows(20, 4, 10**9) == list(range(20))
    assert parity.rows(20, 4, 10**12) == [16, 17, 18, 19]
    assert parity.rows(20, 4, 30 * 10**9) == [0, 1, 16, 17, 18, 19]
