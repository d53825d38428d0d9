#!/usr/bin/env python3
"""Times BERT's encoder in PyTorch, ONNX Runtime or OpenVINO on the texts that bench/infer --save wrote in f32, to stand
beside it.

FOLDER holds config.json, model.safetensors and texts.safetensors. The texts are cut into batches of --batch in their
order, each padded to its longest text. Before anything is timed the last_hidden_state of every token is compared with
bench/infer's (agreement.py).

PyTorch (f32, bf16) runs transformers' BertModel in eval and inference mode, attention as transformers chooses it
(PyTorch's scaled_dot_product_attention); a batch without padding has no mask, as that is no slower. In bf16 the model's
weights are: autocast, which rounds them in every pass, takes longer.

ONNX Runtime (f32, int8) runs the model as its own optimizer for BERT rewrites it: attention, embeddings, GELU with bias
and LayerNorm with residual fused. In int8 its own dynamic quantization follows, a scale per output.

OpenVINO (f32, bf16) runs the model as it reads it from an ONNX file, for latency; converted from PyTorch, which its
Python package reports to its maker, it is no faster. Where all batches have one shape it is compiled for that, and
where none has padding without a mask, for short texts take less time then.

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
from agreement import agreement
from packed_batch import pack, pad
from safetensors.torch import load_file
from transformers import BertModel

WARM_UPS = 2
INPUTS = ("input_ids", "attention_mask")
RESULT = "last_hidden_state"


class PyTorch:
    precisions = ("f32", "bf16")

    def __init__(self, options, _batches):
        self.model = BertModel.from_pretrained(options.folder, add_pooling_layer=False).eval()
        if options.precision == "bf16":
            self.model.to(torch.bfloat16)

    def inputs(self, ids, mask):
        return {"input_ids": ids} if mask.all() else {"input_ids": ids, "attention_mask": mask}

    def run(self, inputs):
        with torch.inference_mode():
            return self.model(**inputs)[RESULT]


class OnnxRuntime:
    precisions = ("f32", "int8")

    def __init__(self, options, _batches):
        import onnxruntime
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = options.threads
        model = BertModel.from_pretrained(options.folder, add_pooling_layer=False, attn_implementation="eager")
        path = optimized_onnx(model, RESULT, options.folder)
        if options.precision == "int8":
            path = quantized_onnx(path)
        self.session = onnxruntime.InferenceSession(path, settings, ["CPUExecutionProvider"])

    def inputs(self, ids, mask):
        types = {given.name: given.type for given in self.session.get_inputs()}
        values = dict(zip(INPUTS, (ids, mask)))
        return {name: (values[name].int() if type_ == "tensor(int32)" else values[name]).numpy()
                for name, type_ in types.items()}

    def run(self, inputs):
        return torch.from_numpy(self.session.run(None, inputs)[0])


class OpenVino:
    precisions = ("f32", "bf16")

    def __init__(self, options, batches):
        import openvino
        from openvino.properties import hint, inference_num_threads
        names = INPUTS[:1] if all(mask.all() for _, mask in batches) else INPUTS
        shapes = {ids.shape for ids, _ in batches}
        torch_model = BertModel.from_pretrained(options.folder, add_pooling_layer=False, attn_implementation="eager")
        core = openvino.Core()
        model = core.read_model(exported_onnx(torch_model, RESULT, options.folder, names))
        if len(shapes) == 1:
            model.reshape({name: list(*shapes) for name in names})
        settings = {hint.performance_mode: hint.PerformanceMode.LATENCY, inference_num_threads: options.threads,
                    hint.inference_precision: getattr(openvino.Type, options.precision)}
        self.request = core.compile_model(model, "CPU", settings).create_infer_request()
        self.names = names

    def inputs(self, ids, mask):
        return {name: values.numpy() for name, values in zip(self.names, (ids, mask))}

    def run(self, inputs):
        return torch.from_numpy(self.request.infer(inputs, share_inputs=True, share_outputs=True)[0])


class OneResult(torch.nn.Module):
    """A model with positional arguments and one of its results, as torch.onnx wants it."""

    def __init__(self, model, result):
        super().__init__()
        self.model, self.result = model, result

    def forward(self, input_ids, attention_mask=None):
        return self.model(input_ids=input_ids, attention_mask=attention_mask)[self.result]


def exported_onnx(model, result, folder, inputs=INPUTS):
    """Path of the model in an ONNX file, written into the folder; `result` is the one of the model's that is wanted."""
    path = os.path.join(folder, "exported.onnx")
    example = torch.ones(2, 16, dtype=torch.long)
    axes = {name: {0: "batch", 1: "length"} for name in inputs}
    torch.onnx.export(OneResult(model.eval(), result), (example,) * len(inputs), path, input_names=list(inputs),
                      output_names=[result], dynamic_axes={**axes, result: {0: "batch"}}, opset_version=17,
                      dynamo=False)
    return path


def optimized_onnx(model, result, folder):
    """The same as ONNX Runtime's optimizer leaves it. The model's attention must be the eager one: that is what the
    optimizer knows."""
    from onnxruntime.transformers import optimizer
    optimized = os.path.join(folder, "optimized.onnx")
    config = model.config
    onnx = optimizer.optimize_model(exported_onnx(model, result, folder), model_type="bert",
                                    num_heads=config.num_attention_heads, hidden_size=config.hidden_size)
    layers = config.num_hidden_layers
    fused = {"EmbedLayerNormalization": 1, "Attention": layers, "BiasGelu": layers, "SkipLayerNormalization": 2 * layers}
    counts = onnx.get_fused_operator_statistics()
    missed = {name: counts[name] for name, wanted in fused.items() if counts[name] != wanted}
    if missed:
        sys.exit(f"ONNX Runtime's optimizer should have fused {fused}, missed {missed}")
    onnx.save_model_to_file(optimized)
    return optimized


def quantized_onnx(optimized):
    """Path of an optimized model with weights in int8, written beside it."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic
    path = os.path.join(os.path.dirname(optimized), "quantized.onnx")
    # The type is what onnx can't tell behind the optimizer's operations.
    quantize_dynamic(optimized, path, per_channel=True, weight_type=QuantType.QInt8,
                     extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT})
    return path


ENGINES = {"pytorch": PyTorch, "onnxruntime": OnnxRuntime, "openvino": OpenVino}


class Texts:
    """All batches, ready to run."""

    def __init__(self, options):
        texts = load_file(os.path.join(options.folder, "texts.safetensors"))
        ids, offsets = texts["ids"].long(), texts["offsets"]
        parts = [offsets[first:first + options.batch + 1] for first in range(0, len(offsets) - 1, options.batch)]
        batches = []
        for part in parts:
            packed = ids[int(part[0]):int(part[-1])]
            batches.append([pad(values, part - part[0]) for values in (packed, torch.ones_like(packed))])
        self.padded = sum(ids.numel() for ids, _ in batches)
        self.engine = ENGINES[options.engine](options, batches)
        self.inputs = [self.engine.inputs(*batch) for batch in batches]
        states = torch.cat([pack(self.engine.run(inputs), part - part[0]) for inputs, part in zip(self.inputs, parts)])
        self.agreement = agreement(options.engine, options.precision, states.float(), texts[RESULT])

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
    parser.add_argument("--precision", choices=("f32", "bf16", "int8"), default="f32")
    options = parser.parse_args()
    if options.precision not in ENGINES[options.engine].precisions:
        parser.error(f"{options.engine} computes in {' or '.join(ENGINES[options.engine].precisions)} here")
    torch.set_num_threads(options.threads)
    transformers.utils.logging.disable_progress_bar()
    warnings.simplefilter("ignore")  # the exporter's, about what doesn't concern this model
    texts = Texts(options)
    for _ in range(WARM_UPS):
        texts.run()
    say({"ready": True})
    for line in sys.stdin:
        if line.strip() != "go":
            sys.exit(f"peer_inference: expected a line \"go\", got {line.strip()!r}")
        say({"seconds": texts.run()})
    say({"padded_tokens": texts.padded, "agreement": texts.agreement})


if __name__ == "__main__":
    main()
