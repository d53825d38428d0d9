#!/usr/bin/env python3
"""Writes tests/nn/reference/muon.safetensors: torch.optim.Muon, with torch.optim.AdamW for what isn't a matrix.

The file holds, f64,
    start.<name>                 of each parameter, at random
    gradient.<t>.<name>          of each step t, at random, small and large ones
    value.<t>.<name>             the parameter after the step
torch.optim.Muon multiplies in bfloat16 whatever its parameters are; here it computes in their type (in_own_type()).
"""

import contextlib
import pathlib

import torch
from safetensors.torch import save_file

TARGET = pathlib.Path(__file__).resolve().parent / "muon.safetensors"
MATRICES = {"wide": (5, 12), "tall": (12, 5), "square": (8, 8), "row": (1, 9), "q": (6, 6), "k": (6, 6), "v": (6, 6)}
OTHERS = {"vector": (7,), "embedding": (4, 3)}
RATES = [0.02, 0.05, 0.0, 0.01]
DECAY = 0.1
SCALES = [0.5, 0.1, 1.0, 0.25]  # of the gradients, as clipping has them


@contextlib.contextmanager
def in_own_type():
    """Its one conversion to bfloat16 becomes a copy."""
    to_bfloat16 = torch.Tensor.bfloat16
    torch.Tensor.bfloat16 = torch.Tensor.clone
    try:
        yield
    finally:
        torch.Tensor.bfloat16 = to_bfloat16


def make_muon(parameters, rate, weight_decay):
    return torch.optim.Muon(parameters, lr=rate, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")


def main():
    torch.manual_seed(1)
    parameters = {
        name: torch.nn.Parameter(torch.randn(shape, dtype=torch.float64)) for name, shape in {**MATRICES, **OTHERS}.items()
    }
    tensors = {f"start.{name}": parameter.detach().clone() for name, parameter in parameters.items()}
    muon = make_muon([parameters[name] for name in MATRICES], RATES[0], DECAY)
    adamw = torch.optim.AdamW(
        [
            {"params": [parameters["embedding"]], "weight_decay": DECAY},
            {"params": [parameters["vector"]], "weight_decay": 0.0},
        ]
    )
    for step, (rate, scale) in enumerate(zip(RATES, SCALES)):
        for name, parameter in parameters.items():
            gradient = torch.randn(parameter.shape, dtype=torch.float64) * 10.0 ** (step - 2)
            tensors[f"gradient.{step}.{name}"] = gradient
            parameter.grad = scale * gradient
        for optimizer in (muon, adamw):
            for group in optimizer.param_groups:
                group["lr"] = rate
            with in_own_type():
                optimizer.step()
        for name, parameter in parameters.items():
            tensors[f"value.{step}.{name}"] = parameter.detach().clone()
    save_file(tensors, TARGET)


if __name__ == "__main__":
    main()
