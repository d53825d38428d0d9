#!/usr/bin/env python3
"""Writes tests/models/reference/sentence: a tiny BERT, folders of what sentence-transformers lays beside one, and the
embeddings that it computes with them.

    bert/              config.json, vocab.txt, tokenizer_config.json and model.safetensors of the BERT
    texts.txt          the texts, one a line
    <case>/            what goes beside or over the files of bert/, or, where it has a 0_Transformer, around them
    <case>/expected    the numbers of the embeddings, text by text
    layers/<range>     of the BERT alone: the same from several layers, as transformers gives them

Needs the Python packages sentence-transformers and transformers. tests/apps/sentence_modules_test.sh compares.
"""

import json
import pathlib
import shutil
import sys
import tempfile

import torch
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer
from transformers import AutoTokenizer, BertConfig, BertModel
from transformers.utils import logging

logging.set_verbosity_error()
TARGET = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parent / "sentence")
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "sat", "on", "mat", ".", "a", "dog", "ran", "##s",
         "The", "CAT", "Café", "cafe", "café", "query", ":", "passage", "old", "house"]
TEXTS = ["the cat sat on the mat .", "a", "The CAT", "dogs ran on the old house . a cat ran", "Café café", "xyz", "",
         "cat cat cat cat cat cat cat cat cat cat cat"]
OLD = "sentence_transformers.models."


def make_bert(generator):
    config = BertConfig(vocab_size=len(WORDS), hidden_size=8, num_attention_heads=2, num_hidden_layers=3,
                        intermediate_size=12, max_position_embeddings=16)
    model = BertModel(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            center = 1.0 if name.endswith("LayerNorm.weight") else 0.0
            parameter.copy_(center + 0.4 * torch.randn(parameter.shape, generator=generator))
    model.save_pretrained(TARGET / "bert")
    (TARGET / "bert" / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    (TARGET / "bert" / "tokenizer_config.json").write_text('{"do_lower_case": false, "model_max_length": 14}\n')


def modules(*types, transformer=""):
    paths = [transformer] + [f"{i}_{name}" for i, name in enumerate(types) if i > 0]
    return [{"idx": i, "name": str(i), "path": path, "type": OLD + name} for i, (path, name) in enumerate(zip(paths, types))]


def pooling(*modes, **more):
    keys = ["cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken"]
    return {"word_embedding_dimension": 8} | {f"pooling_mode_{key}": key in modes for key in keys} | more


def dense(out, activation="torch.nn.modules.activation.Tanh", width=8, bias=True):
    return {"in_features": width, "out_features": out, "bias": bias, "activation_function": activation}


def cases(generator):
    def random(*shape):
        return 0.5 * torch.randn(shape, generator=generator)

    plain = modules("Transformer", "Pooling")
    for mode in ["cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken"]:
        yield mode, {"modules.json": plain, "1_Pooling/config.json": pooling(mode)}
    yield "several_modes", {"modules.json": plain, "1_Pooling/config.json": pooling("mean_tokens", "cls_token", "max_tokens")}
    yield "listed_modes", {"modules.json": plain, "1_Pooling/config.json": {
        "embedding_dimension": 8, "pooling_mode": ["mean", "cls"], "include_prompt": True}}
    yield "no_mode", {"modules.json": plain, "1_Pooling/config.json": pooling()}
    yield "normalize", {"modules.json": modules("Transformer", "Pooling", "Normalize"),
                        "1_Pooling/config.json": pooling("mean_tokens"),
                        "sentence_bert_config.json": {"max_seq_length": 6, "do_lower_case": False}}
    yield "dense", {"modules.json": modules("Transformer", "Pooling", "Dense", "Normalize"),
                    "1_Pooling/config.json": pooling("cls_token"), "2_Dense/config.json": dense(5),
                    "2_Dense/model.safetensors": {"linear.weight": random(5, 8), "linear.bias": random(5)}}
    for name in ["linear.Identity", "activation.ReLU", "activation.GELU", "activation.Sigmoid", "activation.SiLU"]:
        yield "dense_" + name.split(".")[1], {
            "modules.json": modules("Transformer", "Pooling", "Dense", "LayerNorm", "Dropout"),
            "1_Pooling/config.json": pooling("mean_tokens", "max_tokens"),
            "2_Dense/config.json": dense(4, "torch.nn.modules." + name, 16, bias=False),
            "2_Dense/model.safetensors": {"linear.weight": random(4, 16)},
            "3_LayerNorm/config.json": {"dimension": 4}, "4_Dropout/config.json": {"dropout": 0.2},
            "3_LayerNorm/model.safetensors": {"norm.weight": 1 + random(4), "norm.bias": random(4)}}
    yield "lower_case", {"modules.json": plain, "1_Pooling/config.json": pooling("mean_tokens"),
                         "sentence_bert_config.json": {"max_seq_length": 512, "do_lower_case": True}}
    prompts = {"prompts": {"query": "query: ", "none": ""}, "default_prompt_name": "query", "similarity_fn_name": "cosine"}
    yield "prompt", {"modules.json": plain, "1_Pooling/config.json": pooling("mean_tokens"),
                     "config_sentence_transformers.json": prompts}
    yield "prompt_left_out", {"modules.json": plain, "config_sentence_transformers.json": prompts,
                              "1_Pooling/config.json": pooling("cls_token", "mean_tokens", "weightedmean_tokens", include_prompt=False)}
    yield "folder", {"modules.json": modules("Transformer", "Pooling", transformer="0_Transformer"),
                     "1_Pooling/config.json": pooling("mean_tokens"),
                     "0_Transformer/sentence_bert_config.json": {"max_seq_length": 5}}


def write(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".safetensors"):
            save_file(content, path)
        else:
            path.write_text(json.dumps(content, indent=1) + "\n")


def lay_out(case, folder):
    """The case's files around the BERT's, as the test does it, too."""
    shutil.copytree(TARGET / case, folder, dirs_exist_ok=True)
    inner = folder / "0_Transformer"
    shutil.copytree(TARGET / "bert", inner if inner.exists() else folder, dirs_exist_ok=True)


def numbers(rows):
    return "".join(f"{float(x):.9g}\n" for row in rows for x in row)


def embed(folder):
    model = SentenceTransformer(str(folder), device="cpu")
    return model, model.encode(TEXTS, batch_size=3)


shutil.rmtree(TARGET, ignore_errors=True)
TARGET.mkdir(parents=True)
generator = torch.Generator().manual_seed(5)
make_bert(generator)
(TARGET / "texts.txt").write_text("".join(text + "\n" for text in TEXTS))
for name, files in cases(generator):
    write(TARGET / name, files)
    with tempfile.TemporaryDirectory() as folder:
        lay_out(name, pathlib.Path(folder))
        model, rows = embed(folder)
        (TARGET / name / "expected").write_text(numbers(rows))
        if name in ("dense", "prompt"):  # and as this version of the library saves it
            saved = TARGET / f"{name}_saved"
            model.save(str(saved), create_model_card=False)
            (saved / "expected").write_text(numbers(embed(saved)[1]))
bert, tokenizer = BertModel.from_pretrained(TARGET / "bert"), AutoTokenizer.from_pretrained(TARGET / "bert")
(TARGET / "layers").mkdir()
for first, last in [(-4, -1), (-2, -1), (0, 1), (2, 2)]:
    for combine in ["sum", "mean", "concatenate"]:
        rows = []
        for text in TEXTS:
            with torch.no_grad():
                states = bert(**tokenizer(text, return_tensors="pt", truncation=True), output_hidden_states=True).hidden_states
            states = torch.stack(states)[first:last + 1 or None, 0]  # [layers, S, H]
            joined = {"sum": states.sum(0), "mean": states.mean(0), "concatenate": torch.cat(list(states), -1)}[combine]
            rows.append(joined.mean(0))
        (TARGET / "layers" / f"{first}..{last}_{combine}").write_text(numbers(rows))
