#!/usr/bin/env python3
"""Writes tests/ops/reference/ops.safetensors: what PyTorch computes for operations with more than one
convention in use.

Everything is f64. A case's tensors are <case>.<name>: the inputs, the output y, the gradient dy that arrives
at it (random: a root of all ones would hide errors), and d<input>, the gradients that go on from there.
    gelu_erf, gelu_tanh     x [4, 7] → y [4, 7]
                            x · Φ(x), and x/2 · (1 + tanh(sqrt(2/π) · (x + 0.044715 x³)))
    layer_norm              x [5, 6], weight [6], bias [6] → y [5, 6]
                            eps 1e-12 is added to the variance (that of division by 6), inside the root. The
                            last row of x is about 1e-5, so that an eps of another size or in another place
                            shows.
    log_softmax             x [4, 9] → y [4, 9], over the last axis; one row holds values near 1000
    cross_entropy           x [8, 7] (logits), labels i32 [8] (ignored: -100), denominator [] → y []
                            label smoothing 0.1: the target is 0.9 · one-hot + 0.1 / 7 for each of the 7
                            classes; the sum over rows that aren't ignored is divided by the denominator,
                            which is not their number
    attention               qkv [T, 3H], offsets i64 [5] → y [T, H]
                            T = 15 tokens, H = 12 in A = 3 heads of D = 4. A row holds query, key and value, H
                            each, and within each of these head after head. Softmax of q · k / sqrt(D) within
                            each sequence. PyTorch gets the sequences padded, with a mask.
"""

import pathlib
import sys

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "bench"))
from packed_batch import pack, pad  # noqa: E402

TARGET = pathlib.Path(__file__).resolve().parent / "ops.safetensors"
HEADS = 3


def attention(qkv, offsets):
    mask = pad(torch.ones(len(qkv), dtype=torch.bool), offsets, fill=False)
    # [T, 3H] → [T, 3, A, D] → padded [N, S, 3, A, D] → query, key and value [N, A, S, D]
    parts = pad(qkv.reshape(len(qkv), 3, HEADS, -1), offsets).permute(2, 0, 3, 1, 4)
    out = F.scaled_dot_product_attention(*parts, attn_mask=mask[:, None, None, :])
    return pack(out.transpose(1, 2).flatten(2), offsets)


def case(name, operation, **inputs):
    """Runs operation(**inputs) forward and backward. Floating-point inputs but scalars get gradients."""
    inputs = {key: value.clone() for key, value in inputs.items()}
    wanted = [key for key, value in inputs.items() if value.is_floating_point() and value.dim() > 0]
    for key in wanted:
        inputs[key].requires_grad_()
    y = operation(**inputs)
    dy = torch.randn(y.shape, dtype=y.dtype)
    gradients = torch.autograd.grad(y, [inputs[key] for key in wanted], dy)
    tensors = inputs | {"y": y, "dy": dy} | {f"d{key}": value for key, value in zip(wanted, gradients)}
    return {f"{name}.{key}": value.detach().contiguous() for key, value in tensors.items()}


def main():
    torch.manual_seed(1)
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)

    spread = torch.linspace(-6, 6, 28).reshape(4, 7)
    rows = torch.randn(5, 6) * 2 + 1
    rows[4] = 1e-5 * torch.randn(6)
    scores = torch.randn(4, 9) * 3
    scores[2] += 1000
    labels = torch.tensor([2, -100, 6, 0, 3, -100, 6, 1], dtype=torch.int32)
    offsets = torch.tensor([0, 5, 6, 13, 15])

    expected = case("gelu_erf", lambda x: F.gelu(x), x=spread)
    expected |= case("gelu_tanh", lambda x: F.gelu(x, approximate="tanh"), x=spread)
    expected |= case(
        "layer_norm",
        lambda x, weight, bias: F.layer_norm(x, (6,), weight, bias, 1e-12),
        x=rows,
        weight=1 + 0.3 * torch.randn(6),
        bias=torch.randn(6),
    )
    expected |= case("log_softmax", lambda x: F.log_softmax(x, -1), x=scores)
    expected |= case(
        "cross_entropy",
        lambda x, labels, denominator: F.cross_entropy(
            x, labels.long(), ignore_index=-100, label_smoothing=0.1, reduction="sum") / denominator,
        x=torch.randn(8, 7) * 2,
        labels=labels,
        denominator=torch.tensor(11.0),
    )
    expected |= case("attention", attention, qkv=torch.randn(15, 3 * 12) * 1.5, offsets=offsets)
    save_file(expected, TARGET)
    for name, value in expected.items():
        print(f"{name:30} {str(value.dtype):14} {list(value.shape)}")
    print(f"wrote {TARGET}")


if __name__ == "__main__":
    main()
