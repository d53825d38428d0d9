#!/usr/bin/env python3
"""Writes tests/models/reference/bert_heads: what transformers computes with every head of BERT.

    weights.safetensors  the tensors of all heads over one small BERT (3 heads, hidden 36), in f32. A head takes those
                         of its names, and a classifier of L labels their first L rows.
    <case>.safetensors   the results of a case, in f64; its "__metadata__" has `architecture`, and `config`, the
                         config.json
    files/<name>/        BertForMaskedLM of one layer in files of other kinds: shards, old names, f16, bf16; the
                         case `files` has the logits.<name> that transformers computes, at every fourth token

All cases run on one ragged batch of pairs, kept in weights.safetensors: batch.ids i32 [T], batch.token_type_ids i32
[T], batch.offsets i64 [N+1]. A case holds `logits` (or the names that the output has in transformers), in packed
layout (of a language model: at `scored_rows`), `labels` (what the loss took, in packed layout), `loss`, and, for three
heads, grad.<name> of every parameter.
The hidden states of BertModel are hidden_state.0 (embeddings) … hidden_state.L, and pooler_output.
"""

import json
import pathlib
import sys
import shutil

import torch
import transformers
from safetensors.torch import save_file
from transformers import BertConfig
from transformers.utils import logging

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "bench"))
from packed_batch import pack, pad  # noqa: E402

TARGET = pathlib.Path(__file__).resolve().parent / "bert_heads"
SIZES = dict(
    vocab_size=47,
    hidden_size=36,
    num_attention_heads=3,
    num_hidden_layers=2,
    intermediate_size=28,
    max_position_embeddings=13,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
)
WITH_GRADIENTS = {"pretraining_untied", "sequence_multi_label", "question_answering"}
SHALLOW = {"num_hidden_layers": 1}  # keeps files small


def random_weights(generator):
    """One tensor for each name that any head has, from the largest of each."""
    weights = {}
    for architecture in ("BertForPreTraining", "BertForQuestionAnswering", "BertForTokenClassification"):
        config = BertConfig(**SIZES, tie_word_embeddings=False, num_labels=2 if "Question" in architecture else 4)
        model = getattr(transformers, architecture)(config)
        for name, parameter in model.named_parameters():
            center = 1.0 if name.endswith("LayerNorm.weight") else 0.0
            values = center + 0.3 * torch.randn(parameter.shape, generator=generator)
            weights.setdefault(name, values.double())
    return weights


def ragged_batch(generator):
    """Six sequences, one of two tokens and one as long as positions reach; the second half of each is its pair."""
    lengths = torch.tensor([7, 13, 2, 11, 5, 8])
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])
    types = torch.cat([(torch.arange(n) >= (n + 1) // 2).long() for n in lengths])
    # Id 0 is the padding, whose lookup transformers gives no gradient: it may not be a real token here.
    ids = torch.randint(1, SIZES["vocab_size"], (int(offsets[-1]),), generator=generator)
    return {"ids": ids.int(), "token_type_ids": types.int(), "offsets": offsets}


def inputs_of(batch):
    ids, offsets = batch["ids"].long(), batch["offsets"]
    return {
        "input_ids": pad(ids, offsets),
        "attention_mask": pad(torch.ones_like(ids), offsets),
        "token_type_ids": pad(batch["token_type_ids"].long(), offsets),
    }


def build(architecture, settings, weights):
    config = BertConfig(**SIZES | settings)
    config._attn_implementation = "eager"
    model = getattr(transformers, architecture)(config).double().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            name = name if name in weights else "bert." + name
            # With fewer labels a classifier has fewer rows.
            parameter.copy_(weights[name][: parameter.shape[0]])
    return model


def write_case(name, model, tensors):
    for key, value in tensors.items():
        if "logits" in key or "loss" in key or "hidden" in key or "pooler" in key:
            assert float(value.detach().abs().max()) > 0.05, (name, key)  # too small a number shows no error
    architecture = type(model).__name__
    model.config.architectures = [architecture]
    config = model.config.to_json_string(use_diff=False)
    save_file({key: value.detach().clone().contiguous() for key, value in tensors.items()},
              TARGET / f"{name}.safetensors", metadata={"architecture": architecture, "config": config})
    print(f"{name}: {', '.join(f'{k} {list(v.shape)}' for k, v in tensors.items() if not k.startswith('grad.'))}")


def gradients(model, loss):
    loss.backward()
    return {f"grad.{name}": parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}


def run(name, architecture, settings, weights, batch, labels, names, packed_labels):
    """`labels`: keyword arguments of the loss; `names`: outputs per token (packed) or per sequence."""
    model = build(architecture, settings, weights)
    output = model(**inputs_of(batch), **labels)
    tensors = {"loss": output.loss, **packed_labels}
    for key, per_token in names.items():
        tensors[key] = pack(output[key], batch["offsets"]) if per_token else output[key]
        if per_token and "scored_rows" in packed_labels:
            tensors[key] = tensors[key][packed_labels["scored_rows"]]
    if name in WITH_GRADIENTS:
        tensors |= gradients(model, output.loss)
    write_case(name, model, tensors)


def run_question_answering(weights, batch):
    """One sequence after the other: in a padded batch, padding would take part in the softmax over positions."""
    model = build("BertForQuestionAnswering", SHALLOW, weights)
    starts = torch.tensor([0, 5, -3, 40, 2, 8])  # one below and two beyond: clamped to 0, and counted for nothing
    ends = torch.tensor([3, 12, 1, 2, 5, 7])
    lengths = batch["offsets"][1:] - batch["offsets"][:-1]
    logits = {"start_logits": [], "end_logits": []}
    losses = {"start": [], "end": []}
    for n, length in enumerate(lengths.tolist()):
        row = slice(int(batch["offsets"][n]), int(batch["offsets"][n + 1]))
        single = {"ids": batch["ids"][row], "token_type_ids": batch["token_type_ids"][row],
                  "offsets": torch.tensor([0, length])}
        output = model(**inputs_of(single))
        for key in logits:
            logits[key].append(output[key][0])
        for side, position in (("start", starts[n]), ("end", ends[n])):
            if position >= length:
                continue
            # The other side out of range and this one alone: NaN + loss, so the loss comes from one call per side.
            both = model(**inputs_of(single), start_positions=position[None], end_positions=position[None]).loss
            scores = output[f"{side}_logits"]
            own = torch.nn.functional.cross_entropy(scores, position.clamp(0, length)[None])
            other = "end" if side == "start" else "start"
            assert torch.isclose(both * 2 - own, torch.nn.functional.cross_entropy(
                output[f"{other}_logits"], position.clamp(0, length)[None]))
            losses[side].append(own)
    loss = (torch.stack(losses["start"]).mean() + torch.stack(losses["end"]).mean()) / 2
    tensors = {key: torch.cat(value) for key, value in logits.items()}
    tensors |= {"start_positions": starts, "end_positions": ends, "loss": loss}
    write_case("question_answering", model, tensors | gradients(model, loss))
    # Sequences of one length, which need no padding: transformers' own loss for the batch.
    rows = torch.tensor([1, 3])
    both = {"ids": torch.cat([batch["ids"][int(batch["offsets"][n]):][:11] for n in rows]),
            "token_type_ids": torch.cat([batch["token_type_ids"][int(batch["offsets"][n]):][:11] for n in rows]),
            "offsets": torch.tensor([0, 11, 22])}
    starts, ends = torch.tensor([4, -1]), torch.tensor([11, 9])
    output = model(**inputs_of(both), start_positions=starts, end_positions=ends)
    write_case("question_answering_even", model, both | {
        "start_positions": starts, "end_positions": ends, "loss": output.loss,
        "start_logits": output.start_logits.flatten(), "end_logits": output.end_logits.flatten()})


def run_model(weights, batch):
    for activation in ("gelu", "gelu_new", "relu", "tanh", "gelu_python", "gelu_fast", "gelu_accurate",
                       "gelu_pytorch_tanh", "gelu_python_tanh"):
        model = build("BertModel", {"hidden_act": activation}, weights)
        output = model(**inputs_of(batch), output_hidden_states=True)
        states = output.hidden_states if activation == "gelu" else output.hidden_states[-1:]
        first = model.config.num_hidden_layers + 1 - len(states)
        tensors = {f"hidden_state.{first + i}": pack(state, batch["offsets"]) for i, state in enumerate(states)}
        if not activation.startswith("gelu_") or activation == "gelu_new":
            tensors["pooler_output"] = output.pooler_output
        write_case(f"model_{activation}", model, {k: v.float() for k, v in tensors.items()})


def write_files(weights, batch):
    """The tied MLM case in files of other kinds."""
    model = build("BertForMaskedLM", SHALLOW, weights)
    state = {name: value.clone() for name, value in model.state_dict().items() if "decoder" not in name}
    kinds = {
        "sharded": (torch.float32, {"max_shard_size": "30KB"}),
        "f16": (torch.float16, {}),
        "bf16": (torch.bfloat16, {}),
    }
    for name, (dtype, options) in kinds.items():
        build("BertForMaskedLM", SHALLOW, weights).to(dtype).save_pretrained(TARGET / "files" / name, **options)
        (TARGET / "files" / name / "generation_config.json").unlink(missing_ok=True)
    # As the first checkpoints have it: gamma and beta, positions as a buffer, the decoder's copy.
    old = {key.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): value.float()
           for key, value in state.items()}
    old["cls.predictions.decoder.weight"] = old["bert.embeddings.word_embeddings.weight"].clone()
    old["bert.embeddings.position_ids"] = torch.arange(SIZES["max_position_embeddings"])[None]
    folder = TARGET / "files" / "old_names"
    folder.mkdir()
    save_file(old, folder / "model.safetensors")
    shutil.copy(TARGET / "files" / "f16" / "config.json", folder)
    logits = {}
    for name in (*kinds, "old_names"):
        loaded = transformers.BertForMaskedLM.from_pretrained(
            TARGET / "files" / name, dtype=torch.float64, attn_implementation="eager").eval()
        output = loaded(**inputs_of(batch)).logits
        assert name.endswith("f16") or torch.equal(output, model(**inputs_of(batch)).logits), name
        logits[f"logits.{name}"] = pack(output, batch["offsets"])[::4]
    write_case("files", model, logits)


def main():
    torch.set_num_threads(1)
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    generator = torch.Generator().manual_seed(5)
    shutil.rmtree(TARGET, ignore_errors=True)
    TARGET.mkdir(parents=True)
    weights, batch = random_weights(generator), ragged_batch(generator)
    save_file({name: value.float() for name, value in weights.items()} | {f"batch.{k}": v for k, v in batch.items()},
              TARGET / "weights.safetensors")
    sequences, tokens = len(batch["offsets"]) - 1, int(batch["offsets"][-1])

    def integers(count, below):
        return torch.randint(0, below, (count,), generator=generator)

    scored = torch.randperm(tokens, generator=generator)[:17].sort().values
    words = torch.full((tokens,), -100)
    words[scored] = integers(17, SIZES["vocab_size"])
    next_sentence = integers(sequences, 2)
    lm = {"scored_rows": scored, "labels": words[scored]}
    padded_words = pad(words, batch["offsets"], fill=-100)
    for tie in (True, False):
        suffix = "" if tie else "_untied"
        settings = {"tie_word_embeddings": tie} | ({} if tie else SHALLOW)
        run("masked_lm" + suffix, "BertForMaskedLM", settings, weights, batch, {"labels": padded_words},
            {"logits": True}, lm)
        run("pretraining" + suffix, "BertForPreTraining", settings, weights, batch,
            {"labels": padded_words, "next_sentence_label": next_sentence},
            {"prediction_logits": True, "seq_relationship_logits": False},
            lm | {"next_sentence_label": next_sentence})
    run("next_sentence", "BertForNextSentencePrediction", {}, weights, batch, {"labels": next_sentence},
        {"logits": False}, {"labels": next_sentence})

    def classify(name, settings, labels):
        run(name, "BertForSequenceClassification", settings, weights, batch, {"labels": labels}, {"logits": False},
            {"labels": labels})

    classify("sequence_single_label", {"num_labels": 4}, integers(sequences, 4))
    classify("sequence_two_labels", {"id2label": {0: "bad", 1: "good"}, "label2id": {"bad": 0, "good": 1}},
             integers(sequences, 2))
    classify("sequence_multi_label", SHALLOW | {"num_labels": 4, "problem_type": "multi_label_classification"},
             integers(sequences * 4, 2).reshape(-1, 4).double())
    classify("sequence_soft_labels", {"num_labels": 3}, torch.rand(sequences, 3, generator=generator).double())
    classify("sequence_regression", {"num_labels": 1}, torch.randn(sequences, generator=generator).double())
    classify("sequence_regressions", {"num_labels": 3, "problem_type": "regression"},
             torch.randn(sequences, 3, generator=generator).double())
    tags = integers(tokens, 4)
    tags[integers(9, tokens)] = -100
    run("token", "BertForTokenClassification", {"num_labels": 4}, weights, batch,
        {"labels": pad(tags, batch["offsets"], fill=-100)}, {"logits": True}, {"labels": tags})
    choices = {key: value.reshape(2, 3, -1) for key, value in inputs_of(batch).items()}
    model = build("BertForMultipleChoice", {}, weights)
    best = integers(2, 3)
    output = model(**choices, labels=best)
    write_case("multiple_choice", model, {"labels": best, "loss": output.loss, "logits": output.logits})
    run_question_answering(weights, batch)
    run_model(weights, batch)
    write_files(weights, batch)
    print(f"wrote {TARGET}, {sum(f.stat().st_size for f in TARGET.rglob('*') if f.is_file())} bytes")


if __name__ == "__main__":
    main()
