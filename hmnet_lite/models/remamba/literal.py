"""The twisting layer once more, to be read: the paper's steps, one by one, a loop over time.

    cube = literal_cube(layer.cube, visual, tokens, sentence, grounded)
    cube = cube + literal_channel_scan(layer.channel, cube)
    cube = cube + literal_spatial_scan(layer.spatial, cube)

The arguments are the layer's own parts, whose weights are read. Slow on purpose; a test holds the
fast layer to it, gradients included.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import Tensor

from hmnet_lite.mamba.twister import ChannelScan, SpatialScan
from hmnet_lite.models.remamba.twister import Cube, Twister


def literal_twister(layer: Twister, visual, tokens, sentence, grounded) -> Tensor:
    """What `Twister` with scans "channel-spatial" computes; arguments as its `forward`'s."""
    cube = literal_cube(layer.cube, visual, tokens, sentence, grounded)
    cube = cube + literal_channel_scan(layer.channel, cube)
    cube = cube + literal_spatial_scan(layer.spatial, cube)
    pixels = rearrange(cube, "b c h w -> b h w c")
    return visual + rearrange(layer.project(layer.norm(pixels)), "b h w c -> b c h w")


def literal_cube(layer: Cube, visual, tokens, sentence, grounded) -> Tensor:
    """[visual | global text | local interaction], (batch, 3·dim, h, w)."""
    height, width = visual.shape[-2:]
    everywhere = repeat(layer.sentence(sentence), "b c -> b c h w", h=height, w=width)

    pixels = rearrange(visual, "b c h w -> b (h w) c")
    image, text = layer.of_image(pixels), layer.of_text(tokens)  # F_i W_i and F_t W_t
    together = image @ rearrange(text, "b l c -> b c l") / math.sqrt(visual.shape[1])
    maps = [rearrange(together, "b (h w) l -> b l h w", h=height)]
    how_much = torch.sigmoid(layer.role(tokens))  # (batch, tokens, roles)
    for role in range(how_much.shape[-1]):
        weights = how_much[:, :, role, None, None]
        maps.append(4 * (weights * grounded).sum(1, keepdim=True))
    local = layer.convolve(torch.cat(maps, dim=1))
    return torch.cat([visual, everywhere, local], dim=1)


def literal_channel_scan(layer: ChannelScan, cube: Tensor) -> Tensor:
    """One state runs through the channels, from the first visual one to the last local one."""
    small = F.adaptive_avg_pool2d(cube, layer.side)
    tokens = rearrange(small, "b c y x -> b c (y x)")
    ys = literal_scan(layer.ssm, 0, F.silu(layer.norm(tokens)))
    y = rearrange(layer.out(ys), "b c (y x) -> b c y x", y=layer.side)
    size = cube.shape[-2:]
    return F.interpolate(y, size, mode="bilinear", align_corners=True)


def literal_spatial_scan(layer: SpatialScan, cube: Tensor) -> Tensor:
    """Rows, columns, and both backwards, summed."""
    height, width = cube.shape[-2:]
    pixels = layer.norm(rearrange(cube, "b c h w -> b h w c"))
    x, gate = layer.into(pixels).chunk(2, dim=-1)
    x = F.silu(layer.conv(rearrange(x, "b h w c -> b c h w")))
    rows = rearrange(x, "b c h w -> b (h w) c")
    columns = rearrange(x, "b c h w -> b (w h) c")
    total = torch.zeros_like(rows)
    for direction, line in enumerate((rows, columns, rows.flip(1), columns.flip(1))):
        y = literal_scan(layer.ssm, direction, line)
        y = y.flip(1) if direction >= 2 else y
        if direction % 2:
            y = rearrange(y, "b (w h) c -> b (h w) c", h=height)
        total = total + y
    y = rearrange(total, "b (h w) c -> b h w c", w=width)
    y = layer.out(layer.norm_out(y) * F.silu(gate))
    return rearrange(y, "b h w c -> b c h w")


def literal_scan(ssm, direction: int, u: Tensor) -> Tensor:
    """Mamba's selection and recurrence along a sequence (batch, length, channels).

    h_t = exp(Δ_t A) h_{t-1} + Δ_t u_t B_t,  y_t = C_t · h_t + D u_t
    """
    sizes = [ssm.rank, ssm.state, ssm.state]
    low_rank, B, C = (u @ ssm.select[direction].T).split(sizes, dim=-1)
    delta = F.softplus(low_rank @ ssm.delta_weight[direction].T + ssm.delta_bias[direction])
    A, D = -torch.exp(ssm.A_log[direction]), ssm.D[direction]  # (channels, state), (channels,)
    h = u.new_zeros(u.shape[0], u.shape[2], ssm.state)
    ys = []
    for t in range(u.shape[1]):
        h = torch.exp(delta[:, t, :, None] * A) * h
        h = h + (delta[:, t] * u[:, t])[..., None] * B[:, t, None]
        ys.append((h * C[:, t, None]).sum(-1) + D * u[:, t])
    return torch.stack(ys, dim=1)
