"""One mammogram, drawn from random numbers: uint16 pixels, bright where tissue is dense."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_ANATOMY_SIDE = 1024  # the anatomy is smooth: it is drawn no larger, then enlarged
_NOISE = 0.005  # deviation of the quantum noise at full signal, as a share of full signal

# Streams of random numbers, so that one never shifts another.
_TRAITS, _TISSUE, _LESION, _QUANTA = range(4)

Seed = int | Sequence[int]


def draw(
    seed: Seed,
    size: tuple[int, int],
    *,
    laterality: str = "L",
    view: str = "CC",
    density: float = 0.5,
    contrast: float = 0.0,
    bits: int = 12,
    lesion_seed: Seed | None = None,
    trait_seed: Seed | None = None,
) -> NDArray[np.uint16]:
    """Draw one mammogram, uint16 [H, W] in [0, 2^bits), bright where tissue is dense.

    `contrast` is the lesion's signal over the tissue around it, 0 for none: at 1 it is plain,
    at 0.2 hard to see. `trait_seed` fixes the shape of the breast and `lesion_seed` the place
    of the lesion; both default to `seed`. A left breast leans on the left edge of the image.
    """
    anatomy_size = _fit(size, _ANATOMY_SIDE)
    signal, skin = _anatomy(seed, trait_seed or seed, anatomy_size, view, density)
    if contrast > 0:
        signal += contrast * _lesion(lesion_seed or seed, trait_seed or seed, anatomy_size)
    pixels = _expose(_resize(signal, size), _resize(skin, size) < 1.0, seed, bits)
    _mark(pixels, bits)
    return pixels if laterality == "L" else np.ascontiguousarray(pixels[:, ::-1])


def _fit(size: tuple[int, int], side: int) -> tuple[int, int]:
    shrink = min(1.0, side / max(size))
    return max(8, round(size[0] * shrink)), max(8, round(size[1] * shrink))


def _resize(field: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    if field.shape == size:
        return field
    enlarged = Image.fromarray(field).resize((size[1], size[0]), Image.Resampling.BICUBIC)
    return np.asarray(enlarged, np.float32)


def _stream(seed: Seed, stream: int) -> np.random.Generator:
    numbers = [seed] if isinstance(seed, int) else list(seed)
    return np.random.default_rng([*numbers, stream])


def _grid(size: tuple[int, int], trait_seed: Seed) -> tuple[NDArray[np.float32], ...]:
    """Return down, out (the breast's own coordinates: skin at radius 1) and the skin's radius."""
    rng = _stream(trait_seed, _TRAITS)
    height, width = size
    middle = height * rng.uniform(0.46, 0.56)
    reach = min(width * rng.uniform(0.62, 0.85), height * 0.7)
    down = (np.arange(height, dtype=np.float32)[:, None] - middle) / (height * 0.44)
    out = np.arange(width, dtype=np.float32)[None, :] / reach
    down, out = np.broadcast_arrays(down, out)
    angle = np.arctan2(down, out)
    waver = sum(
        rng.normal(0, 0.014) * np.cos(k * angle + rng.uniform(0, 2 * np.pi)) for k in (2, 3, 5)
    )
    skin = np.hypot(down, out) * (1 + waver)
    return down, out, skin.astype(np.float32)


def _texture(rng: np.random.Generator, size: tuple[int, int]) -> NDArray[np.float32]:
    """Noise with the power spectrum 1/f^3, mean 0 and deviation 1."""
    spectrum = np.fft.rfft2(rng.standard_normal(size, dtype=np.float32))
    frequency = np.hypot(np.fft.fftfreq(size[0])[:, None], np.fft.rfftfreq(size[1])[None, :])
    frequency[0, 0] = np.inf
    # The largest structures are a breast's tenth, or one picture would be all gland.
    lowest = 4 / max(size)
    field = np.fft.irfft2(spectrum * np.maximum(frequency, lowest) ** -1.5, s=size)
    return ((field - field.mean()) / field.std()).astype(np.float32)


def _anatomy(
    seed: Seed, trait_seed: Seed, size: tuple[int, int], view: str, density: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the signal of the tissue (share of full signal) and the radius towards the skin."""
    down, out, skin = _grid(size, trait_seed)
    thickness = np.sqrt(np.clip(1 - np.clip(skin, 0, 1) ** 6, 0, 1))
    texture = _texture(_stream(seed, _TISSUE), size)
    # Gland lies in the middle of the breast, fat below the skin.
    inside = np.clip(1.25 - skin, 0, 1) * density
    gland = inside * (0.30 + 0.13 * texture)
    signal = thickness * np.clip(0.22 + gland, 0.08, None)
    if view in ("MLO", "ML", "LM", "LMO"):
        muscle = 1 / (1 + np.exp(np.clip(30 * (out + 0.55 * (down + 0.45)), -60, 60)))
        signal = signal + 0.22 * muscle * thickness
    return signal.astype(np.float32), skin


def _lesion(seed: Seed, trait_seed: Seed, size: tuple[int, int]) -> NDArray[np.float32]:
    """A spiculated mass with microcalcifications, peaking near 0.5."""
    down, out, _ = _grid(size, trait_seed)
    rng = _stream(seed, _LESION)
    angle, depth = rng.uniform(-1.0, 1.0), rng.uniform(0.25, 0.7)
    row, column = depth * np.sin(angle), depth * np.cos(angle)
    radius = rng.uniform(0.07, 0.12)
    # Both axes in the same length: a breast is about 0.44 H high and half that again wide.
    y, x = down - row, (out - column) * 1.2
    spread = np.hypot(y, x)
    around = np.arctan2(y, x)
    edge = 1 + sum(
        rng.uniform(0.05, 0.16) * np.cos(k * around + rng.uniform(0, 2 * np.pi))
        for k in (3, 5, 8, 13)
    )
    mass = 0.5 / (1 + np.exp(np.clip((spread / (radius * edge) - 1) * 6, -60, 60)))
    grain = np.float32(max(0.006, 0.8 / size[0]))
    for _ in range(int(rng.integers(5, 10))):
        dy, dx = rng.normal(0, radius, 2)
        mass = np.maximum(mass, 0.6 * np.exp(-(((y - dy) ** 2 + (x - dx) ** 2) / grain**2)))
    return mass.astype(np.float32)


def _expose(
    signal: NDArray[np.float32], breast: NDArray[np.bool_], seed: Seed, bits: int
) -> NDArray[np.uint16]:
    """Count quanta: noise that grows with the root of the signal, and nothing in the air."""
    full = np.float32((1 << bits) - 1)
    rng = _stream(seed, _QUANTA)
    noise = rng.standard_normal(signal.shape, dtype=np.float32)
    signal = np.clip(signal, 0.004, 1)
    counts = full * (signal + _NOISE * np.sqrt(signal) * noise)
    return np.where(breast, np.clip(np.rint(counts), 1, full), 0).astype(np.uint16)


def _mark(pixels: NDArray[np.uint16], bits: int) -> None:
    """Lay a lead marker into the upper outer corner, where there is only air."""
    height, width = pixels.shape
    top, left = height // 40, width - width // 9
    box = pixels[top : top + height // 24, left : left + width // 14]
    if not box.any():
        box[...] = round(0.9 * ((1 << bits) - 1))
