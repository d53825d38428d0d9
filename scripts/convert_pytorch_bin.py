#!/usr/bin/env python3
"""Makes model.safetensors of a model directory's pytorch_model.bin, in one file or in shards.

    convert_pytorch_bin.py DIR

Needs torch and safetensors. The file is read as weights only: code that it may hold doesn't run. Tensors keep their
names, types and values; those that share memory are written once each. The old files stay.
"""

import json
import pathlib
import sys

import torch
from safetensors.torch import save_file


def files_of(folder):
    single, index = folder / "pytorch_model.bin", folder / "pytorch_model.bin.index.json"
    if single.is_file():
        return [single]
    if index.is_file():
        names = sorted(set(json.loads(index.read_text())["weight_map"].values()))
        if any(pathlib.Path(name).name != name for name in names):
            sys.exit(f"convert_pytorch_bin: {index} names files outside its folder")
        return [folder / name for name in names]
    sys.exit(f"convert_pytorch_bin: {folder} has neither pytorch_model.bin nor pytorch_model.bin.index.json")


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        print(__doc__.strip(), file=sys.stdout if "--help" in sys.argv[1:] else sys.stderr)
        sys.exit(0 if "--help" in sys.argv[1:] else 2)
    folder = pathlib.Path(sys.argv[1])
    target = folder / "model.safetensors"
    if target.exists():
        sys.exit(f"convert_pytorch_bin: {target} is there already")
    tensors = {}
    for path in files_of(folder):
        state = torch.load(path, map_location="cpu", weights_only=True)
        state = state.get("state_dict", state)
        for name, value in state.items():
            if not isinstance(value, torch.Tensor):
                sys.exit(f"convert_pytorch_bin: {path}: {name} is no tensor")
            if name in tensors:
                sys.exit(f"convert_pytorch_bin: {path}: {name} is there twice")
            tensors[name] = value.contiguous().clone()
    aside = folder / "model.safetensors.new"
    save_file(tensors, aside, metadata={"format": "pt"})
    aside.rename(target)
    print(f"{target}: {len(tensors)} tensors")


if __name__ == "__main__":
    main()
