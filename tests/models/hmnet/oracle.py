"""The released HMNet a second time, written down as it is described: an oracle for tests.

In the description's order and, in quotes, its words, on a dict of the released model's own
state-dict names; torch only, nothing of hmnet_lite, no module, no fast path. Evaluation mode. The
arithmetic has the dtype of the weights and images, so `.double()` on them gives a float64 oracle.

w: {name: tensor}; B batch, K shots, S side of the mixer's square maps, d = 2·dim, n state.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

Weights = dict[str, Tensor]
RECAP = 4  # α


def published_forward(
    weights: Weights,
    query: Tensor,
    supports: Tensor,
    masks: Tensor,
    *,
    backbone: str = "resnet50",
    shots: int = 1,
    mixer_side: int | None = None,
) -> Weights:
    """What the released model computes of normalised images, whole arrays by name.

    query: (B, 3, H, W); supports: (B, K, 3, h, w); masks: (B, K, h, w), foreground where == 1.
    mixer_side: S; the released model's own (64 up to 473 px, 80 above) where it is None.

    Returns prior (B, 2, S, S), before the ×10; mixer_query_in, mixer_support_in and mixer_out
    (B, dim, S, S), mixer_out after the decoder's first ReLU; meta_logits (B, 2, S, S);
    psi (B, K), the style distances; final (B, 2, H, W).
    """
    assert supports.shape[:2] == masks.shape[:2] == (len(query), shots)
    w = weights
    # "S = 64 for 473 px, 80 for larger"
    side = mixer_side or (64 if max(query.shape[2:]) <= 473 else 80)
    extract = {"resnet50": resnet50, "vgg16": vgg16}[backbone]
    q2, q3, q4 = extract(w, query)
    qb = base_features(w, q4)
    # "(support mask == 1) resized bilinearly to S×S"
    masks = resize((masks == 1).to(query.dtype), side)  # (B, K, S, S)
    f = mid_features(w, "down_query", q2, q3, side)
    masked, prototypes, priors, psi = [], [], [], []
    for k in range(shots):
        m = masks[:, k, None]
        s2, s3, s4 = extract(w, supports[:, k])
        s = mid_features(w, "down_supp", s2, s3, side)
        masked.append(s * m)
        prototypes.append(prototype(s, m))  # "on the unmasked features of shot k"
        priors.append(prior(((q4, s4), (qb, base_features(w, s4))), m, side))
        psi.append(torch.linalg.matrix_norm(gram(q2) - gram(s2)) / q2.shape[1])
    # "averaged over shots", "mean over k", "Average over shots"
    masked, p, two = (torch.stack(each).mean(0) for each in (masked, prototypes, priors))
    p = p.expand_as(f)
    # "q0 = init_merge_query[query ++ p ++ 10·prior]"
    q0 = conv(w, "init_merge_query.0", torch.cat([f, p, 10 * two], 1))
    # "s0 = init_merge_supp[masked support ++ p ++ mean mask]"
    s0 = conv(w, "init_merge_supp.0", torch.cat([masked, p, masks.mean(1, keepdim=True)], 1))
    mixed = F.relu(mixer(w, q0, s0))  # "Decoder: ReLU → ..."
    meta_logits, psi = decoder(w, mixed), torch.stack(psi, 1)
    return {
        "prior": two,
        "mixer_query_in": q0,
        "mixer_support_in": s0,
        "mixer_out": mixed,
        "meta_logits": meta_logits,
        "psi": psi,
        "final": resize(ensemble(w, meta_logits, qb, psi), tuple(query.shape[2:])),
    }


# --- Layers by name
def conv(w: Weights, name: str, x: Tensor, stride=1, dilation=1, groups=1) -> Tensor:
    """Zero padding that keeps the size at stride 1; a bias where the state dict has one."""
    weight = w[f"{name}.weight"]
    padding = dilation * (weight.shape[-1] // 2)
    return F.conv2d(x, weight, w.get(f"{name}.bias"), stride, padding, dilation, groups)


def linear(w: Weights, name: str, x: Tensor) -> Tensor:
    return F.linear(x, w[f"{name}.weight"], w.get(f"{name}.bias"))


def batch_norm(w: Weights, name: str, x: Tensor) -> Tensor:
    leaves = ("running_mean", "running_var", "weight", "bias")
    return F.batch_norm(x, *(w[f"{name}.{leaf}"] for leaf in leaves))


def layer_norm(w: Weights, name: str, x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], w[f"{name}.weight"], w[f"{name}.bias"], eps=1e-5)


def resize(x: Tensor, size: int | tuple[int, int]) -> Tensor:
    """Bilinear "is bilinear with align_corners=True throughout"."""
    return F.interpolate(x, size, mode="bilinear", align_corners=True)


# --- Backbone
def resnet50(w: Weights, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """F2, F3, F4 = outputs of layer2, layer3, layer4, at stride 8."""
    # "deep stem: conv3×3 s2 3→64, 64→64, 64→128, each BN+ReLU, max-pool 3×3 s2 p1"
    for i, stride in ((0, 2), (3, 1), (6, 1)):
        x = F.relu(batch_norm(w, f"layer0.{i + 1}", conv(w, f"layer0.{i}", x, stride)))
    x = F.max_pool2d(x, 3, 2, 1)
    # "3-4-6-3 with the stride in the 3×3 conv; layer3: 3×3 dilation 2, stride 1; layer4: 4"
    maps = []
    for layer, blocks, stride, dilation in ((1, 3, 1, 1), (2, 4, 2, 1), (3, 6, 1, 2), (4, 3, 1, 4)):
        for i in range(blocks):
            x = bottleneck(w, f"layer{layer}.{i}", x, stride if i == 0 else 1, dilation)
        maps.append(x)
    return tuple(maps[1:])


def bottleneck(w: Weights, name: str, x: Tensor, stride: int, dilation: int) -> Tensor:
    y = F.relu(batch_norm(w, f"{name}.bn1", conv(w, f"{name}.conv1", x)))
    y = F.relu(batch_norm(w, f"{name}.bn2", conv(w, f"{name}.conv2", y, stride, dilation)))
    y = batch_norm(w, f"{name}.bn3", conv(w, f"{name}.conv3", y))
    if f"{name}.downsample.0.weight" in w:
        x = batch_norm(w, f"{name}.downsample.1", conv(w, f"{name}.downsample.0", x, stride))
    return F.relu(x + y)


def vgg16(w: Weights, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """F2 (256 channels), F3, F4 (512), all at stride 16."""
    # "layer0..4 are features[0:7], [7:14], [14:24], [24:34], [34:43] (last pool dropped)":
    # 2, 2, 3, 3, 3 times (conv, BN, ReLU), then the pool, numbered from 0 in each slice
    maps = []
    for layer, convs in enumerate((2, 2, 3, 3, 3)):
        for i in range(0, 3 * convs, 3):
            x = F.relu(batch_norm(w, f"layer{layer}.{i + 1}", conv(w, f"layer{layer}.{i}", x)))
        if layer < 4:
            x = F.max_pool2d(x, 2, 2, ceil_mode=True)  # "pools 2×2 with ceil_mode"
        maps.append(x)
    # "Its layer2 map is resized to layer3's size first": first of all, so in ψ's Gram matrix too
    return resize(maps[2], tuple(maps[3].shape[2:])), maps[3], maps[4]


def base_features(w: Weights, f4: Tensor) -> Tensor:
    """Fb = cls(ppm(F4)), "taken before its ReLU"."""
    # "bins 1, 2, 3, 6, each pool → 1×1 conv + BN + ReLU → bilinear; concatenated behind F4"
    parts = [f4]
    for i, bins in enumerate((1, 2, 3, 6)):
        x = conv(w, f"ppm.features.{i}.1", F.adaptive_avg_pool2d(f4, bins))
        x = F.relu(batch_norm(w, f"ppm.features.{i}.2", x))
        parts.append(resize(x, tuple(f4.shape[2:])))
    return batch_norm(w, "cls.1", conv(w, "cls.0", torch.cat(parts, 1)))


# --- Mid features and the two priors
def mid_features(w: Weights, name: str, f2: Tensor, f3: Tensor, side: int) -> Tensor:
    # "ReLU(down_query[F2 ++ F3]) to 256 ..., both resized bilinearly to S×S"
    return resize(F.relu(conv(w, f"{name}.0", torch.cat([f2, f3], 1))), side)


def prototype(f: Tensor, m: Tensor) -> Tensor:
    """Σ(f·m) / (Σ m + 0.0005): (B, C, S, S), (B, 1, S, S) → (B, C, 1, 1)."""
    return (f * m).sum((2, 3), keepdim=True) / (m.sum((2, 3), keepdim=True) + 0.0005)


def prior(pairs, m: Tensor, side: int) -> Tensor:
    """The FG and the contrast map of one shot, (B, 2, S, S). pairs: (query, support) of F4, Fb."""
    both = (similarity(q, resize(s, side), m, side) for q, s in pairs)
    (fg4, top4, contrast4), (fgb, topb, contrastb) = both
    # "take Fb's FG map where Fb's max FG cosine is the larger, else F4's"
    fg = torch.where(topb > top4, fgb, fg4)
    # "likewise the contrast map by its max"
    peak4, peakb = (c.amax((2, 3), keepdim=True) for c in (contrast4, contrastb))
    contrast = torch.where(peakb > peak4, contrastb, contrast4)
    return torch.cat([fg, contrast], 1)


def similarity(q: Tensor, s: Tensor, m: Tensor, side: int) -> tuple[Tensor, Tensor, Tensor]:
    """FG map (B, 1, S, S), its max cosine (B, 1, 1, 1), contrast map (B, 1, S, S)."""
    maps, tops = [], []
    for mask in (m, 1 - m):  # "FG and BG prototypes with m and 1-m"
        p = prototype(s, mask)
        # "ε 1e-7 added to the product of norms"
        norms = q.norm(dim=1, keepdim=True) * p.norm(dim=1, keepdim=True)
        cosine = (q * p).sum(1, keepdim=True) / (norms + 1e-7)
        low, high = (edge((2, 3), keepdim=True) for edge in (cosine.amin, cosine.amax))
        tops.append(high)  # "remember max FG cosine"
        # "min-max normalise each map to [0,1] (ε 1e-7); resize to S×S"
        maps.append(resize((cosine - low) / (high - low + 1e-7), side))
    # "contrast = max(FG - BG, 0)"
    return maps[0], tops[0], F.relu(maps[0] - maps[1])


# --- Mixer
def mixer(w: Weights, q: Tensor, s: Tensor) -> Tensor:
    """The query (B, dim, S, S) after all blocks and `mamba.norm`."""
    q, s = (x.movedim(1, -1) for x in (q, s))  # "Channels-last block on (q, s)"
    i = 0
    while (name := f"mamba.layers.0.blocks.{i}") + ".ln_1.weight" in w:
        # "x = ln_1(·) for both (shared); y = SS2D; residual"
        xs = (layer_norm(w, f"{name}.ln_1", x) for x in (q, s))
        ys = ss2d(w, f"{name}.self_attention", *xs, hybrid=i % 2 == 1)  # "Even i, self; Odd"
        q, s = q + ys[0], s + ys[1]
        # "then residual with mlp_q / mlp_s on the shared ln_2 (fc1, GELU, fc2)"
        q = q + mlp(w, f"{name}.mlp_q", layer_norm(w, f"{name}.ln_2", q))
        s = s + mlp(w, f"{name}.mlp_s", layer_norm(w, f"{name}.ln_2", s))
        i += 1
    return layer_norm(w, "mamba.norm", q).movedim(-1, 1)


def mlp(w: Weights, name: str, x: Tensor) -> Tensor:
    return linear(w, f"{name}.fc2", F.gelu(linear(w, f"{name}.fc1", x)))


def ss2d(w: Weights, name: str, q: Tensor, s: Tensor, hybrid: bool) -> list[Tensor]:
    xs, zs = [], []
    for x, tag in ((q, "q"), (s, "s")):
        # "in_proj_q/s → x, z; x = SiLU(depth-wise 3×3 conv2d_q/s)"
        x, z = linear(w, f"{name}.in_proj_{tag}", x).movedim(-1, 1).chunk(2, 1)
        xs.append(F.silu(conv(w, f"{name}.conv2d_{tag}", x, groups=x.shape[1])))
        zs.append(z.movedim(1, -1))
    ys = hybrid_core(w, name, *xs) if hybrid else [self_core(w, name, x) for x in xs]
    # "shared out_norm; times SiLU(z); out_proj_q/s"
    ys = [layer_norm(w, f"{name}.out_norm", y.movedim(1, -1)) for y in ys]
    ys = [y * F.silu(z) for y, z in zip(ys, zs, strict=True)]
    return [linear(w, f"{name}.out_proj_{tag}", y) for tag, y in zip("qs", ys, strict=True)]


def orders(side: int, patches: int = 1) -> Tensor:
    """Pixel numbers in the order that each of the four directions reads them, (4, side²)."""
    n = side // patches
    pixels = torch.arange(side * side).view(patches, n, patches, n)
    rows = pixels.permute(0, 2, 1, 3).flatten()  # patches row by row, pixels row by row inside
    columns = pixels.permute(2, 0, 3, 1).flatten()  # both column by column
    return torch.stack([rows, columns, rows.flip(0), columns.flip(0)])


def read(x: Tensor, order: Tensor) -> Tensor:
    """A map (B, d, S, S) as four sequences (B, 4, d, S²)."""
    return torch.stack([x.flatten(2)[..., o] for o in order], 1)


def put_back(y: Tensor, order: Tensor) -> Tensor:
    """Four outputs "put back in place and summed": (B, 4, d, S²) → (B, d, S, S)."""
    total = torch.zeros_like(y[:, 0])
    for k, o in enumerate(order):
        total[..., o] += y[:, k]
    return total.unflatten(-1, (int(y.shape[-1] ** 0.5), -1))


def scan_inputs(w: Weights, name: str, u: Tensor) -> tuple[Tensor, ...]:
    """delta (B, k, d, L), A (k, d, n), B, C (B, k, n, L), D (k, d), of the first k directions."""
    k, d = u.shape[1:3]
    rank = w[f"{name}.dt_projs_weight"].shape[-1]
    A = -torch.exp(w[f"{name}.A_logs"]).view(4, d, -1)[:k]
    # "x_proj_weight[k] (→ dt_rank, then B, then C)"
    x = torch.einsum("bkdl,kcd->bkcl", u, w[f"{name}.x_proj_weight"][:k])
    dt, B, C = x.split([rank, A.shape[-1], A.shape[-1]], 2)
    dt = torch.einsum("bkrl,kdr->bkdl", dt, w[f"{name}.dt_projs_weight"][:k])
    # "dt_projs_bias[k] (added before softplus)"
    delta = F.softplus(dt + w[f"{name}.dt_projs_bias"][:k, :, None])
    return delta, A, B, C, w[f"{name}.Ds"].view(4, d)[:k]


def selective_scan(u: Tensor, delta, A, B, C, D, h=0) -> tuple[Tensor, Tensor]:
    """h ← exp(ΔA) h + ΔBu, y = C·h + Du, one step at a time. Returns y and the last h."""
    ys = []
    steps = (x.movedim(-1, 0).contiguous() for x in (u, delta, B, C))
    for ut, dt, Bt, Ct in zip(*steps, strict=True):
        h = torch.exp(dt[..., None] * A) * h + (dt * ut)[..., None] * Bt[..., None, :]
        ys.append((h @ Ct[..., None])[..., 0] + D * ut)
    return torch.stack(ys, -1), h


def self_core(w: Weights, name: str, x: Tensor) -> Tensor:
    order = orders(x.shape[-1])  # "each map on its own, 4 orders"
    u = read(x, order)
    return put_back(selective_scan(u, *scan_inputs(w, name, u))[0], order)


def hybrid_core(w: Weights, name: str, query: Tensor, support: Tensor) -> tuple[Tensor, Tensor]:
    side = query.shape[-1]
    n = side // RECAP
    # "support and a copy of the query are resized bilinearly to n×n"
    small_support, small_query = resize(support, n), resize(query, n)
    order, small_order = orders(side, RECAP), orders(n)
    u, us = read(query, order), read(small_support, small_order)
    delta, A, B, C, D = scan_inputs(w, name, u)
    delta_s, _, B_s, C_s, _ = scan_inputs(w, name, us)
    # "before each of the α² query patches the whole n² support, same direction"
    h, ys = 0, []
    for i in range(RECAP * RECAP):
        y_s, h = selective_scan(us, delta_s, A, B_s, C_s, D, h)
        if i == 0:  # "support outputs: only those of the first pass"
            first, state = y_s, h
        u_p, delta_p, B_p, C_p = (x[..., i * n * n : (i + 1) * n * n] for x in (u, delta, B, C))
        y, h = selective_scan(u_p, delta_p, A, B_p, C_p, D, h)
        ys.append(y)
    # "QIM on the n×n query in row order with direction 0's parameters, its state the mean over
    # directions of the state after the first support pass, skip = the single number Ds[0]"
    u0 = small_query.flatten(2)[:, None]  # (B, 1, d, n²)
    delta, A, B, C, D = scan_inputs(w, name, u0)
    kept = torch.exp(torch.einsum("bkdl,kdn->bkdnl", delta, A)) * state.mean(1)[:, None, ..., None]
    new = torch.einsum("bkdl,bknl->bkdnl", delta * u0, B)
    qim = torch.einsum("bkdnl,bknl->bdl", kept + new, C) + D[0, 0] * u0[:, 0]
    # "its output resized to S×S and added to the query's sum"
    q = put_back(torch.cat(ys, -1), order) + resize(qim.unflatten(-1, (n, n)), side)
    # "summed, then resized to S×S"
    return q, resize(put_back(first, small_order), side)


# --- Decoder
def decoder(w: Weights, x: Tensor) -> Tensor:
    """meta_logits (B, 2, S, S)."""
    # "[global mean → 1×1; 1×1; 3×3 dilations 6, 12, 18], each bias+ReLU, concatenated"
    mean = F.relu(conv(w, "ASPP_meta.layer6_0.0", x.mean((2, 3), keepdim=True)))
    parts = [mean.expand_as(x), F.relu(conv(w, "ASPP_meta.layer6_1.0", x))]
    for i, dilation in ((2, 6), (3, 12), (4, 18)):
        parts.append(F.relu(conv(w, f"ASPP_meta.layer6_{i}.0", x, dilation=dilation)))
    # "res1_meta 1×1+ReLU → x + res2_meta(x) (3×3+ReLU twice)"
    x = F.relu(conv(w, "res1_meta.0", torch.cat(parts, 1)))
    x = x + F.relu(conv(w, "res2_meta.2", F.relu(conv(w, "res2_meta.0", x))))
    # "cls_meta (3×3, ReLU, dropout, 1×1)"
    return conv(w, "cls_meta.3", F.relu(conv(w, "cls_meta.0", x)))


# --- BAM ensemble
def gram(f2: Tensor) -> Tensor:
    """The "Gram matrix of F2 over pixels, rows and columns L2-normalised", (B, C, C)."""
    x = f2.flatten(2)
    norm = x.norm(dim=2)
    return x @ x.mT / (norm[:, :, None] * norm[:, None, :] + 1e-7)


def ensemble(w: Weights, meta_logits: Tensor, qb: Tensor, psi: Tensor) -> Tensor:
    """[bg, fg] at S×S from the meta learner, the base learner on the query's Fb, and ψ (B, K)."""
    if psi.shape[1] > 1:
        # "w = kshot_rw(ψ sorted ascending) (1×1 convs K→2→K with ReLU), softmax over K"
        x = psi.sort(1).values[:, :, None, None]
        x = conv(w, "kshot_rw.2", F.relu(conv(w, "kshot_rw.0", x)))
        # "the weights stay in sorted order while ψ is in shot order"
        psi = (x.flatten(1).softmax(1) * psi).sum(1, keepdim=True)
    meta = meta_logits.softmax(1)
    psi = psi[:, :, None, None].expand_as(meta[:, :1])
    # "base = softmax(base_learner(Fb resized to S×S))"; its ReLU comes after the resize
    base = conv(w, "base_learner.2", F.relu(resize(qb, tuple(meta.shape[2:])))).softmax(1)
    base_fg = base[:, 1:].sum(1, keepdim=True)  # "sum over all base classes"
    # "bg = cls_merge[gram_merge[P_bg, ψ̄], base FG]; fg = gram_merge[P_fg, ψ̄]"
    bg, fg = (conv(w, "gram_merge", torch.cat([x, psi], 1)) for x in meta.split(1, 1))
    bg = conv(w, "cls_merge", torch.cat([bg, base_fg], 1))
    return torch.cat([bg, fg], 1)
