#!/usr/bin/env python3
"""What int8 does to sentence embeddings, beside what ONNX Runtime's int8 does.

  python=$(scripts/python_env.sh) && "$python" tests/proofs/prove_int8.py MODEL LINES

MODEL is a directory of sentence-transformers that takes the mean of the tokens, as all-MiniLM-L6-v2's; LINES is a file
with a text per line, in its first column; the first line is a header (SST-2's dev.tsv). Each program's embeddings in
int8 are compared with its own in f32: the cosine's mean must be at least 0.995 and its least 0.98, and neither may be
worse than ONNX Runtime's, whose model is the one that its optimizer for BERT makes, with dynamic quantization, a scale
for each channel.
"""

import os
import subprocess
import sys
import tempfile

import numpy
import torch
from transformers import AutoTokenizer, BertModel

PROJECT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.append(os.path.join(PROJECT, "bench"))
from peer_inference import optimized_onnx, quantized_onnx  # noqa: E402

LEAST_MEAN, LEAST = 0.995, 0.98


def bertie(model, texts, folder, precision):
    lines, output = os.path.join(folder, "lines.txt"), os.path.join(folder, f"{precision}.npy")
    with open(lines, "w", encoding="utf-8") as file:
        file.write("".join(text + "\n" for text in texts))
    program = os.path.join(os.environ.get("BUILD", os.path.join(PROJECT, "build/release")), "bert_embed")
    subprocess.run([program, "--model", model, "--input", lines, "--pool", "mean", "--normalize", "--precision",
                    precision, "--output", output], check=True, stderr=subprocess.DEVNULL)
    return numpy.load(output)


def onnx_runtime(path, tokenizer, texts):
    """Normalized means of the tokens, a text at a time: its scales are of whole batches."""
    import onnxruntime
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    types = {given.name: given.type for given in session.get_inputs()}
    rows = []
    for text in texts:
        encoded = tokenizer(text, return_tensors="np")
        inputs = {name: encoded[name].astype(numpy.int32 if type_ == "tensor(int32)" else numpy.int64)
                  for name, type_ in types.items()}
        mean = session.run(None, inputs)[0][0].mean(0)
        rows.append(mean / numpy.linalg.norm(mean))
    return numpy.stack(rows)


def main():
    model, lines = sys.argv[1:]
    with open(lines, encoding="utf-8") as file:
        texts = [line.split("\t")[0] for line in file.read().split("\n")[1:] if line]
    tokenizer = AutoTokenizer.from_pretrained(model)
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        found["bertie"] = (bertie(model, texts, folder, "int8") * bertie(model, texts, folder, "f32")).sum(1)
        body = BertModel.from_pretrained(model, add_pooling_layer=False, attn_implementation="eager")
        with torch.inference_mode():
            path = optimized_onnx(body, "last_hidden_state", folder)
        found["ONNX Runtime"] = (onnx_runtime(quantized_onnx(path), tokenizer, texts) *
                                 onnx_runtime(path, tokenizer, texts)).sum(1)
    for name, cosines in found.items():
        print(f"{name}: cosine of int8's and f32's embeddings of {len(texts)} lines: mean {cosines.mean():.5f}, "
              f"least {cosines.min():.5f}")
    ours, theirs = found["bertie"], found["ONNX Runtime"]
    good = (ours.mean() >= max(LEAST_MEAN, theirs.mean()) and ours.min() >= max(LEAST, theirs.min()))
    sys.exit(0 if good else "bertie's is worse, or below the bounds")


if __name__ == "__main__":
    main()
