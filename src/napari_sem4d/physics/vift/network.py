"""The network: from a surface to what the analytic emission field lacks there. Knows no detector and no units.

Lengths are in pixels; the physics enters through the condition (pixel over exit radius, beam width, mean atomic number,
backscatter coefficient, energy). Windowed self-attention after Vaswani et al. 2017 and Liu et al. 2021 (Swin), on
tokens of 4 x 4 pixels, conditioned by scale and shift (Perez et al. 2018, FiLM).

The last layer is linear, ``correction = W (a * t)``: the gates ``t`` are linear, without a bias, in deviations from
planes, so that the correction of a plane of any tilt is exactly zero. Deviations and slopes enter bounded and
the tokens are normalised in every block: the correction is bounded whatever the surface.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_sem4d.physics.pauses import Ask, pause

CONDITIONS = 5
KNOTS = 2  # energy thresholds between which a correction is interpolated
TERMS = 21  # Zernike polynomials to degree 5
TOKEN = 4  # pixels a side
WINDOW = 8  # tokens a side
_FINE, _COARSE = 3, 4  # scales at which deviations from planes are seen, in pixels and in tokens, each twice the last
_AROUND = _COARSE + 2 * (_FINE + _COARSE)
_BENT = 0.05  # deviation, as a slope, at which a place counts as half bent
_FAR = 9  # tokens a side over which bent places are counted
STEP = TOKEN * WINDOW
_STRIP_TOKENS = 8192  # of a block between two pauses: some ten milliseconds of work
_STRIP_PIXELS, _WHOLE_PIXELS = 2**17, 2**18  # of a layer of pixels, likewise; up to so many in one piece


@dataclass(frozen=True, slots=True)
class Architecture:
    """Sizes of the network."""

    width: int = 64
    heads: int = 4
    blocks: int = 3
    stem: int = 16
    local: int = 2
    gates: int = 24

    def as_text(self) -> dict[str, str]:
        """Entries for the header of a weights file."""
        return {name: str(value) for name, value in asdict(self).items()}


LIGHT = Architecture(width=32, heads=2, blocks=2, stem=12, local=1, gates=16)


class Network(nn.Module):
    """Correction coefficients of height maps."""

    def __init__(self, sizes: Architecture | None = None) -> None:
        super().__init__()
        s = self.sizes = sizes or Architecture()
        self.condition = nn.Sequential(nn.Linear(CONDITIONS, 32), nn.GELU(), nn.Linear(32, 32), nn.GELU())
        self.stem = nn.Conv2d(2 + _FINE, s.stem, 3)
        self.stem_scale = nn.Linear(32, 2 * s.stem)
        self.local = nn.ModuleList(_Local(s.stem) for _ in range(s.local))
        self.tokens = nn.Conv2d(s.stem, s.width, TOKEN, stride=TOKEN)
        self.surroundings = nn.Conv2d(_AROUND, s.width, 1)
        self.blocks = nn.ModuleList(_Block(s.width, s.heads, shifted=bool(i % 2)) for i in range(s.blocks))
        self.spread = nn.Linear(s.width, s.stem)
        self.mix = nn.Conv2d(2 * s.stem, s.stem + s.gates, 3)
        self.factors = nn.Linear(s.stem + s.gates, s.gates)
        self.gates = nn.Conv2d(_FINE, s.gates, 3, bias=False)
        self.gates_around = nn.Conv2d(_AROUND, s.gates, 1, bias=False)
        self.last = nn.Linear(s.gates, KNOTS * TERMS, bias=False)
        nn.init.normal_(self.last.weight, std=0.02)

    def forward(
        self, height_px: Tensor, condition: Tensor, contraction: Tensor | None = None, ask: Ask | None = None
    ) -> Tensor:
        """Correct the emission of surfaces.

        Parameters
        ----------
        height_px : (batch, y, x) tensor
            Heights in pixels.
        condition : (batch, CONDITIONS) tensor
        contraction : (batch, channel, KNOTS * TERMS) tensor, optional
            What detectors make of the coefficients; the last layer is then contracted with it before the run.
        ask : callable, optional
            Called often, also on the way back of the gradient; may raise to end the computation.

        Returns
        -------
        (batch, KNOTS * TERMS or channel, y, x) tensor
        """
        rows, columns = height_px.shape[-2:]
        z = functional.pad(height_px[:, None], (0, -columns % STEP, 0, -rows % STEP), "replicate")
        fine = _deviations(z, _FINE, ask)
        coarse = _deviations(functional.avg_pool2d(z, TOKEN) / TOKEN, _COARSE, ask)
        around = _surroundings(fine, coarse)
        condition = self.condition(condition)
        scale, shift = self.stem_scale(condition)[:, :, None, None].chunk(2, dim=1)
        # channels side by side in memory: what few channels of many pixels cost is moving them about
        seen = torch.cat([_slopes(z), fine], dim=1).contiguous(memory_format=torch.channels_last)
        fine = seen[:, 2:]
        stem = _in_rows(lambda part: functional.gelu(self.stem(_halo(part)) * (1 + scale) + shift), seen, ask, 1)
        for local in self.local:
            stem = _in_rows(partial(local, condition=condition), stem, ask, 2)
        tokens = (self.tokens(stem) + self.surroundings(around)).permute(0, 2, 3, 1).contiguous()
        for block in self.blocks:
            tokens = block(tokens, condition, ask)
        spread = pause(_enlarged(self.spread(tokens).permute(0, 3, 1, 2)), ask)
        both = pause(torch.cat([stem, spread], dim=1), ask)
        factors = _in_rows(lambda part: self._factors(functional.gelu(self.mix(_halo(part)))), both, ask, 1)
        gates = _in_rows(lambda part: self.gates(_halo(part)), fine, ask, 1)
        gates = pause(gates + pause(_enlarged(self.gates_around(around)), ask), ask)
        products = pause(factors * gates, ask).permute(0, 2, 3, 1)[:, :rows, :columns]
        weight = self.last.weight if contraction is None else contraction @ self.last.weight
        return pause(products.flatten(1, 2) @ weight.mT, ask).unflatten(1, (rows, columns)).permute(0, 3, 1, 2)

    def _factors(self, mixed: Tensor) -> Tensor:
        factors: Tensor = self.factors(mixed.permute(0, 2, 3, 1))
        return factors.permute(0, 3, 1, 2)


class _Local(nn.Module):
    """What pixels side by side do to each other: two convolutions added to what was there."""

    def __init__(self, stem: int) -> None:
        super().__init__()
        self.scale = nn.Linear(32, 2 * stem)
        self.into, self.out = nn.Conv2d(stem, stem, 3), nn.Conv2d(stem, stem, 3)

    def forward(self, stem: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.scale(condition)[:, :, None, None].chunk(2, dim=1)
        hidden = functional.gelu(self.into(_halo(stem)) * (1 + scale) + shift)
        return stem + self.out(_halo(hidden))


class _Block(nn.Module):
    """Attention within windows and a feed-forward layer; every second block has its windows shifted by half."""

    def __init__(self, width: int, heads: int, *, shifted: bool) -> None:
        super().__init__()
        self.heads, self.shifted = heads, shifted
        self.norms = nn.ModuleList(nn.LayerNorm(width, elementwise_affine=False) for _ in range(2))
        self.scales = nn.Linear(32, 4 * width)
        self.attend = nn.Linear(width, 3 * width)
        self.join = nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.place = nn.Parameter(torch.zeros(heads, (2 * WINDOW - 1) ** 2))
        here = torch.stack(torch.meshgrid(torch.arange(WINDOW), torch.arange(WINDOW), indexing="ij"), -1).reshape(-1, 2)
        apart = here[:, None] - here[None] + WINDOW - 1
        self.register_buffer("pairs", apart[..., 0] * (2 * WINDOW - 1) + apart[..., 1], persistent=False)

    def forward(self, tokens: Tensor, condition: Tensor, ask: Ask | None = None) -> Tensor:
        a, b, c, d = self.scales(condition)[:, None, None].chunk(4, dim=-1)
        half = WINDOW // 2 if self.shifted else 0
        wide = _widened(self.norms[0](tokens) * (1 + a) + b, half)
        joined = _in_strips(self._attention, wide, ask)
        tokens = tokens + joined[:, half : half + tokens.shape[1], half : half + tokens.shape[2]]

        def feed_forward(strip: Tensor) -> Tensor:
            out: Tensor = self.down(functional.gelu(self.up(self.norms[1](strip) * (1 + c) + d)))
            return out

        return tokens + _in_strips(feed_forward, tokens, ask)

    def _attention(self, tokens: Tensor) -> Tensor:
        """Attend within the windows of whole rows of windows (batch, y, x, width)."""
        batch, rows, columns, width = tokens.shape
        split = tokens.reshape(batch, rows // WINDOW, WINDOW, columns // WINDOW, WINDOW, width)
        windows = split.transpose(2, 3).reshape(-1, WINDOW * WINDOW, width)
        query, key, value = (
            part.reshape(-1, WINDOW * WINDOW, self.heads, width // self.heads).transpose(1, 2)
            for part in self.attend(windows).chunk(3, dim=-1)
        )
        nearness = self.place[:, self.pairs][None]
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=nearness)
        joined = self.join(mixed.transpose(1, 2).reshape(-1, WINDOW * WINDOW, width))
        joined = joined.reshape(batch, rows // WINDOW, columns // WINDOW, WINDOW, WINDOW, width).transpose(2, 3)
        return joined.reshape(batch, rows, columns, width)


def _in_strips(work: Callable[[Tensor], Tensor], tokens: Tensor, ask: Ask | None) -> Tensor:
    """Do something to whole rows of windows (batch, y, x, width), with a pause after every strip of them."""
    if ask is None:
        return work(tokens)
    rows = max(1, _STRIP_TOKENS // (tokens.shape[2] * WINDOW)) * WINDOW
    return torch.cat([pause(work(strip), ask) for strip in tokens.split(rows, dim=1)], dim=1)


def _in_rows(work: Callable[[Tensor], Tensor], images: Tensor, ask: Ask | None, reach: int) -> Tensor:
    """Do something to images (batch, channel, y, x) that reaches over some rows, with a pause after every strip."""
    count = images.shape[2]
    rows = max(1, _STRIP_PIXELS // images.shape[3])
    if ask is None or count * images.shape[3] <= _WHOLE_PIXELS:
        return pause(work(images), ask)
    parts = []
    for first in range(0, count, rows):
        begin, last = max(0, first - reach), min(first + rows, count)
        part = work(images[:, :, begin : min(last + reach, count)])
        parts.append(pause(part[:, :, first - begin : last - begin], ask))
    return torch.cat(parts, dim=2)


def _widened(tokens: Tensor, margin: int) -> Tensor:
    if margin == 0:
        return tokens
    return functional.pad(tokens.permute(0, 3, 1, 2), (margin,) * 4, "replicate").permute(0, 2, 3, 1)


def _halo(images: Tensor) -> Tensor:
    return functional.pad(images, (1, 1, 1, 1), "replicate")


def _enlarged(tokens: Tensor) -> Tensor:
    return functional.interpolate(tokens, scale_factor=TOKEN, mode="bilinear")


def _surroundings(fine: Tensor, coarse: Tensor) -> Tensor:
    """Deviations around each token (batch, _AROUND, y, x), all of them zero on a plane.

    Those of the coarse scales, then how much of the token and of its neighbourhood is bent at every scale: a flank far
    from its edge is a plane in itself and yet exchanges electrons with the flank that faces it.
    """
    bent = torch.cat([functional.avg_pool2d(fine**2, TOKEN), coarse**2], dim=1)
    bent = bent / (bent + _BENT**2)
    far = functional.pad(bent, (_FAR // 2,) * 4, "replicate")
    return torch.cat([coarse, bent, functional.avg_pool2d(far, _FAR, stride=1)], dim=1)


def _slopes(z: Tensor) -> Tensor:
    """Slopes to the right and up (batch, 2, y, x) as stereographic coordinates, bounded by 1."""
    wide = _halo(z)
    right = 0.5 * (wide[:, :, 1:-1, 2:] - wide[:, :, 1:-1, :-2])
    up = 0.5 * (wide[:, :, :-2, 1:-1] - wide[:, :, 2:, 1:-1])
    both = torch.cat([right, up], dim=1)
    return both / (1.0 + torch.sqrt(1.0 + right**2 + up**2))


def _deviations(z: Tensor, scales: int, ask: Ask | None) -> Tensor:
    """Deviations from planes (batch, scale, y, x) at scales of 1, 2, 4 ... nodes, bounded by 1.

    Differences of successive B-spline smoothings (starlet transform; Starck, Fadili and Murtagh 2007).
    """
    kernel = z.new_tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16.0
    out = []
    for scale in range(scales):
        apart = 2**scale
        wide = functional.pad(z, (2 * apart,) * 4, "replicate")
        smooth = functional.conv2d(wide, kernel.view(1, 1, 5, 1), dilation=apart)
        smooth = pause(functional.conv2d(smooth, kernel.view(1, 1, 1, 5), dilation=apart), ask)
        band = (z - smooth) / apart
        out.append(pause(band / torch.sqrt(1.0 + band**2), ask))  # a wall is worth no more than a steep slope
        z = smooth
    return torch.cat(out, dim=1)
