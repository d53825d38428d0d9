#!/usr/bin/env python3
"""Times the classification of a file's texts, each of which is a line, from the file to labels with probabilities:

    bertie        the program bert_predict, from its start to its end
    transformers  its text-classification pipeline, batches of 16, each padded to its longest text
    onnxruntime   ONNX Runtime with the model as its own optimizer for BERT rewrites it, `tokenizers` before it, the same
                  batches

The model's directory and the file are loaded before the clock starts, but for bertie. It speaks with bench/turns.py as
peer_inference.py does; its summary is the label of each text.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time
import warnings

import torch
import transformers
from peer_inference import WARM_UPS, optimized_onnx, say
from transformers import AutoModelForSequenceClassification, AutoTokenizer

BATCH = 16
LONGEST = 128  # tokens; what bert_predict takes by default


class Bertie:
    def __init__(self, options):
        self.command = [options.programs / "bert_predict", "--model", options.model, "--input", options.file, "--header",
                        "no", "--json", "--threads", str(options.threads)]

    def run(self, _texts):
        run = subprocess.run(self.command, stdout=subprocess.PIPE, check=True, text=True)
        return [json.loads(line)["label"] for line in run.stdout.splitlines()]


class Transformers:
    def __init__(self, options):
        self.pipeline = transformers.pipeline("text-classification", str(options.model), batch_size=BATCH,
                                              max_length=LONGEST, truncation=True)

    def run(self, texts):
        return [one["label"] for one in self.pipeline(texts)]


class OnnxRuntime:
    def __init__(self, options):
        import onnxruntime
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = options.threads
        model = AutoModelForSequenceClassification.from_pretrained(options.model, attn_implementation="eager")
        self.tokenizer = AutoTokenizer.from_pretrained(options.model)
        self.names = model.config.id2label
        with tempfile.TemporaryDirectory() as folder:
            path = optimized_onnx(model, "logits", folder)
            self.session = onnxruntime.InferenceSession(path, settings, ["CPUExecutionProvider"])
        self.types = {given.name: given.type for given in self.session.get_inputs()}

    def run(self, texts):
        labels = []
        for first in range(0, len(texts), BATCH):
            batch = self.tokenizer(texts[first : first + BATCH], padding=True, truncation=True, max_length=LONGEST,
                                   return_tensors="np")
            inputs = {name: batch[name].astype("int32" if type_ == "tensor(int32)" else "int64")
                      for name, type_ in self.types.items()}
            p = torch.from_numpy(self.session.run(None, inputs)[0]).softmax(-1)
            labels += [self.names[int(row.argmax())] for row in p]
        return labels


ENGINES = {"bertie": Bertie, "transformers": Transformers, "onnxruntime": OnnxRuntime}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("engine", choices=ENGINES)
    parser.add_argument("--programs", required=True, type=pathlib.Path)
    parser.add_argument("--model", required=True, type=pathlib.Path)
    parser.add_argument("--file", required=True, type=pathlib.Path)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    warnings.simplefilter("ignore")
    texts = options.file.read_text(encoding="utf-8").splitlines()
    engine = ENGINES[options.engine](options)
    for _ in range(WARM_UPS):
        labels = engine.run(texts)
    say({"ready": True})
    for _ in sys.stdin:
        start = time.perf_counter()
        labels = engine.run(texts)
        say({"seconds": time.perf_counter() - start})
    say({"labels": labels})


if __name__ == "__main__":
    main()
