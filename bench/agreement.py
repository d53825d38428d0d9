"""Whether programs that are timed in turn compute the same: last_hidden_state of every token, against bertie's in f32.

In f32 no number differs by more than 1e-4 (5e-6 are usual). In fewer bits such a bound would say nothing. There a
state's direction counts, as LayerNorm gives all states one length: the smallest cosine of all tokens' is told. Its
bound is about three times as far from 1 as the worst program that is compared. For base's random weights of sigma 0.02,
where different tokens of a text have cosines of 0.4 to 0.7 with one another, these were seen:

    bf16   OpenVINO and PyTorch's autocast 0.99998; bertie 0.99990; PyTorch's model in bf16 0.99989
    int8   bertie 0.9997; ONNX Runtime 0.9995, with a scale per matrix 0.9993, with 7 bits 0.9990
    faults in f32: a layer's GELU a ReLU 0.986, a layer without attention 0.964, a layer without its feed-forward part
           0.931, all weights in 4 bits 0.88, padding attended to 0.78

It can't see what acts on attention's scores alone: with these weights attention is spread evenly, and a layer whose
queries are zero has 0.9998. The f32 runs of the same programs see it. Nor does it tell what fewer bits do to weights
that were trained.
"""

import sys

from torch.nn.functional import cosine_similarity

TOLERANCE = 1e-4
LEAST_COSINE = {"bf16": 0.9997, "int8": 0.9985}


def agreement(program, precision, states, f32_states):
    """That figure of `states` [T, H]; ends this program where it is beyond its bound, or NaN."""
    if precision == "f32":
        figure = (states - f32_states).abs().max().item()
        agrees = figure <= TOLERANCE
    else:
        figure = cosine_similarity(states, f32_states, dim=1).min().item()
        agrees = figure >= LEAST_COSINE[precision]
    if not agrees:
        sys.exit(f"results don't agree: {agreement_text(precision, {program: figure})}")
    return figure


def agreement_text(precision, figures):
    """`figures` by program."""
    what, digits = ("largest difference to bertie's", ".1e") if precision == "f32" else (
        "smallest cosine with bertie's in f32", ".5f")
    return f"{what}: " + ", ".join(f"{name} {value:{digits}}" for name, value in figures.items())
