#!/usr/bin/env python3
"""Writes tests/models/reference/next_word.safetensors: PyTorch trains the next-word model.

The sentence "I love playing soccer." is split at white space; words get ids 0, 1, … in order of appearance, V
in all. The model is Embedding(V, 10), Linear(10, 20), Linear(20, V), with biases and nothing between. Every
word but the last learns to predict the one after it: all V − 1 pairs in one step per epoch, loss = mean
cross-entropy, SGD at rate 0.1 without momentum, 100 epochs. losses[0] is the loss before the first step.

The file holds
    inputs i32 [3], targets i32 [3]
    the start, f64, each number one that f32 holds too: embedding.weight [V, 10], hidden.weight [20, 10],
    hidden.bias [20], output.weight [V, 20], output.bias [V]
    grad.<name> for each of them, f64: the gradients of the first epoch
    losses.f64, losses.f32 [100]: the same run in both types
    logits [3, V], f64: after the last step
"""

import copy
import pathlib

import torch
from safetensors.torch import save_file

TARGET = pathlib.Path(__file__).resolve().parent / "next_word.safetensors"
SENTENCE = "I love playing soccer."
EPOCHS = 100


class NextWord(torch.nn.Module):
    def __init__(self, words):
        super().__init__()
        self.embedding = torch.nn.Embedding(words, 10)
        self.hidden = torch.nn.Linear(10, 20)
        self.output = torch.nn.Linear(20, words)

    def forward(self, ids):
        return self.output(self.hidden(self.embedding(ids)))


def train(model, inputs, targets):
    """Losses [EPOCHS] and the gradients of the first epoch; the model is trained when it returns."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    losses, first = [], None
    for _ in range(EPOCHS):
        loss = torch.nn.functional.cross_entropy(model(inputs), targets)
        losses.append(loss.detach())
        optimizer.zero_grad()
        loss.backward()
        first = first or {name: p.grad.clone() for name, p in model.named_parameters()}
        optimizer.step()
    return torch.stack(losses), first


def main():
    torch.manual_seed(0)
    torch.set_num_threads(1)
    words = SENTENCE.split()
    ids = {word: n for n, word in enumerate(dict.fromkeys(words))}
    sentence = torch.tensor([ids[word] for word in words])
    inputs, targets = sentence[:-1], sentence[1:]

    model32 = NextWord(len(ids))
    model = copy.deepcopy(model32).double()
    expected = {"inputs": inputs.int(), "targets": targets.int()}
    expected |= {name: p.detach().clone() for name, p in model.named_parameters()}
    losses, gradients = train(model, inputs, targets)
    losses32, _ = train(model32, inputs, targets)
    expected |= {f"grad.{name}": gradient for name, gradient in gradients.items()}
    expected |= {"losses.f64": losses, "losses.f32": losses32, "logits": model(inputs).detach()}
    save_file(expected, TARGET)

    apart = float((losses - losses32.double()).abs().max())
    print(f"loss {losses[0]:.4f} to {losses[-1]:.4f}, f32 and f64 apart by at most {apart:.2e}")
    words = list(ids)
    for word, following in zip(inputs, expected["logits"].argmax(1)):
        print(f"  after {words[word]!r}: {words[following]!r}")
    print(f"wrote {TARGET}")


if __name__ == "__main__":
    main()
