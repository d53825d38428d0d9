"""Packed batches, as bertie has them, and padded ones, as transformers wants them.

Packed: the tokens of all sequences in a row, [T], and offsets [N+1]; sequence n is tokens offsets[n] up to
offsets[n+1]. Padded: [N, S] with S the longest length; sequence n fills the first columns of row n.
"""

import torch


def token_positions(offsets):
    """For each packed token its row and column in the padded layout: two int64 tensors [T]."""
    lengths = offsets[1:] - offsets[:-1]
    rows = torch.repeat_interleave(torch.arange(len(lengths)), lengths)
    columns = torch.arange(int(offsets[-1])) - torch.repeat_interleave(offsets[:-1], lengths)
    return rows, columns


def pad(packed, offsets, fill=0):
    """Packed [T, ...] to padded [N, S, ...]; `fill` goes where no token is."""
    rows, columns = token_positions(offsets)
    padded = packed.new_full((len(offsets) - 1, int(columns.max()) + 1, *packed.shape[1:]), fill)
    padded[rows, columns] = packed
    return padded


def pack(padded, offsets):
    """Padded [N, S, ...] to packed [T, ...]: the real tokens only."""
    return padded[token_positions(offsets)]


def model_inputs(batch):
    """Keyword arguments for BertForMaskedLM from a packed batch.

    `batch` holds ids [T], offsets [N+1], scored_rows [M] (which of the T tokens are scored), labels [M]
    (their true ids) and, where not all are 0, token_type_ids [T]. Every integer type will do.
    """
    ids, offsets = batch["ids"].long(), batch["offsets"].long()
    types = batch["token_type_ids"].long() if "token_type_ids" in batch else torch.zeros_like(ids)
    labels = torch.full_like(ids, -100)
    labels[batch["scored_rows"].long()] = batch["labels"].long()
    return {
        "input_ids": pad(ids, offsets),
        "attention_mask": pad(torch.ones_like(ids), offsets),
        "token_type_ids": pad(types, offsets),
        "labels": pad(labels, offsets, fill=-100),
    }
