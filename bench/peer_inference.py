#!/usr/bin/env python3
"""Times BERT's encoder in PyTorch or ONNX Runtime on the texts that bench/infer --save wrote, to stand beside it.

FOLDER holds config.json, model.safetensors and texts.safetensors. The texts are cut into batches of --batch in their
order, each padded to its longest text. Before anything is timed the last_hidden_state of every token is compared with
bench/infer's.

PyTorch runs transformers' BertModel in eval and inference mode, attention as transformers chooses it (PyTorch's
scaled_dot_product_attention); a batch without padding has no mask, as that is no slower. ONNX Runtime runs the model as
its own optimizer for BERT rewrites it: attention, embeddings, GELU with bias and LayerNorm with residual fused.

It speaks with bench/turns.py: after the warm-up it prints {"ready": true}; then, for each line "go" on standard
input, it runs all batches once and prints {"seconds": s}; at the end of input it prints a summary.
"""

import argparse
import json
import os
import sys
import time
import warnings

import torch
import transformers
from packed_batch import pack, pad
from safetensors.torch import load_file
from transformers import BertModel

TOLERANCE = 1e-4
WARM_UPS = 2


class PyTorch:
    def __init__(self, folder, _threads):
        self.model = BertModel.from_pretrained(folder, add_pooling_layer=False).eval()

    def inputs(self, ids, mask):
        return {"input_ids": ids} if mask.all() else {"input_ids": ids, "attention_mask": mask}

    def run(self, inputs):
        with torch.inference_mode():
            return self.model(**inputs).last_hidden_state


class OnnxRuntime:
    def __init__(self, folder, threads):
        import onnxruntime
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        model = BertModel.from_pretrained(folder, add_pooling_layer=False, attn_implementation="eager")
        path = optimized_onnx(model, "last_hidden_state", folder)
        self.session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])

    def inputs(self, ids, mask):
        types = {given.name: given.type for given in self.session.get_inputs()}
        values = {"input_ids": ids, "attention_mask": mask}
        return {name: (values[name].int() if type_ == "tensor(int32)" else values[name]).numpy()
                for name, type_ in types.items()}

    def run(self, inputs):
        return torch.from_numpy(self.session.run(None, inputs)[0])


class OneResult(torch.nn.Module):
    """A model with positional arguments and one of its results, as torch.onnx wants it."""

    def __init__(self, model, result):
        super().__init__()
        self.model, self.result = model, result

    def forward(self, input_ids, attention_mask):
        return self.model(input_ids=input_ids, attention_mask=attention_mask)[self.result]


def optimized_onnx(model, result, folder):
    """Path of the model as ONNX Runtime's optimizer leaves it, written into the folder; `result` is the one of the
    model's that is wanted. The model's attention must be the eager one: that is what the optimizer knows."""
    from onnxruntime.transformers import optimizer
    exported, optimized = (os.path.join(folder, name) for name in ("exported.onnx", "optimized.onnx"))
    example = torch.ones(2, 16, dtype=torch.long)
    axes = {name: {0: "batch", 1: "length"} for name in ("input_ids", "attention_mask")}
    torch.onnx.export(OneResult(model.eval(), result), (example, example), exported, input_names=list(axes),
                      output_names=[result], dynamic_axes={**axes, result: {0: "batch"}}, opset_version=17,
                      dynamo=False)
    config = model.config
    onnx = optimizer.optimize_model(exported, model_type="bert", num_heads=config.num_attention_heads,
                                    hidden_size=config.hidden_size)
    layers = config.num_hidden_layers
    fused = {"EmbedLayerNormalization": 1, "Attention": layers, "BiasGelu": layers, "SkipLayerNormalization": 2 * layers}
    counts = onnx.get_fused_operator_statistics()
    missed = {name: counts[name] for name, wanted in fused.items() if counts[name] != wanted}
    if missed:
        sys.exit(f"ONNX Runtime's optimizer should have fused {fused}, missed {missed}")
    onnx.save_model_to_file(optimized)
    return optimized


ENGINES = {"pytorch": PyTorch, "onnxruntime": OnnxRuntime}


class Texts:
    """All batches, ready to run."""

    def __init__(self, engine, folder, batch):
        self.engine = engine
        texts = load_file(os.path.join(folder, "texts.safetensors"))
        ids, offsets, hidden = texts["ids"].long(), texts["offsets"], texts["last_hidden_state"]
        self.inputs, self.padded, errors = [], 0, []
        for first in range(0, len(offsets) - 1, batch):
            part = offsets[first:first + batch + 1]
            tokens = slice(int(part[0]), int(part[-1]))
            part = part - part[0]
            padded = pad(ids[tokens], part)
            self.padded += padded.numel()
            self.inputs.append(engine.inputs(padded, pad(torch.ones_like(ids[tokens]), part)))
            errors.append((pack(engine.run(self.inputs[-1]), part) - hidden[tokens]).abs().max())
        self.error = torch.stack(errors).max().item()  # NaN where one is
        if not self.error <= TOLERANCE:
            sys.exit(f"peer_inference: results differ from bertie's by {self.error}, more than {TOLERANCE}")

    def run(self):
        """Seconds of all batches."""
        start = time.perf_counter()
        for inputs in self.inputs:
            self.engine.run(inputs)
        return time.perf_counter() - start


def say(value):
    print(json.dumps(value), flush=True)


def main():
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("engine", choices=ENGINES)
    parser.add_argument("folder", metavar="FOLDER")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    transformers.utils.logging.disable_progress_bar()
    warnings.simplefilter("ignore")  # the exporter's, about what doesn't concern this model
    texts = Texts(ENGINES[options.engine](options.folder, options.threads), options.folder, options.batch)
    for _ in range(WARM_UPS):
        texts.run()
    say({"ready": True})
    for line in sys.stdin:
        if line.strip() != "go":
            sys.exit(f"peer_inference: expected a line \"go\", got {line.strip()!r}")
        say({"seconds": texts.run()})
    say({"padded_tokens": texts.padded, "largest_difference": texts.error})


if __name__ == "__main__":
    main()
