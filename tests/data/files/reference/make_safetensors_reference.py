"""Writes tests/data/files/reference/dtypes.safetensors with the reference implementation of the format, for
tests/data/files/safetensors_test.cpp, which knows the values. Needs the Python packages safetensors and torch."""

import sys

import torch
from safetensors.torch import save_file

tensors = {
    "f64": torch.tensor(-0.1, dtype=torch.float64),
    "i64": torch.tensor([[-(2**62)], [7]], dtype=torch.int64),
    "f32": torch.tensor([[0.5, -1.25, 3e-30], [1.0, 2.0, float("inf")]]),
    "i32": torch.tensor([-(2**31), 0, 2**31 - 1], dtype=torch.int32),
    "f16": torch.tensor([0.333251953125, -65504.0], dtype=torch.float16),
    "bf16": torch.tensor([1.0078125, -3e38], dtype=torch.bfloat16),
    "i8": torch.tensor([[[-128]], [[127]], [[0]]], dtype=torch.int8),
    "bool": torch.tensor([True, False, True]),
    "empty": torch.zeros(0, 4),
    'größe "✓"\n': torch.tensor([42.0]),
}
save_file(tensors, sys.argv[1] if len(sys.argv) > 1 else "tests/data/files/reference/dtypes.safetensors", {"format": "pt"})
