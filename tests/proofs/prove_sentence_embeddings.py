#!/usr/bin/env python3
"""Compares bert_embed's default on a directory of sentence-transformers with that library: the largest difference of any
component, over texts of many lengths. Needs the Python package sentence-transformers.

    tests/proofs/prove_sentence_embeddings.py build/release all-MiniLM-L6-v2 corpus.txt [limit, 1e-6]
"""

import pathlib
import subprocess
import sys
import tempfile

import numpy
from sentence_transformers import SentenceTransformer

build, directory, corpus = sys.argv[1:4]
limit = float(sys.argv[4]) if len(sys.argv) > 4 else 1e-6
lines = [line.strip() for line in pathlib.Path(corpus).read_text(errors="replace").splitlines() if line.strip()]
step = max(1, len(lines) // 300)
texts = lines[::step][:300] + [" ".join(lines[:n]) for n in (2, 5, 20, 100)] + ["", "a", "Ünïcödé 中文 [MASK] 😂"]
with tempfile.TemporaryDirectory() as folder:
    (pathlib.Path(folder) / "texts").write_text("".join(text + "\n" for text in texts))
    subprocess.run([f"{build}/bert_embed", "--model", directory, "--input", f"{folder}/texts", "--output",
                    f"{folder}/rows.npy"], check=True)
    ours = numpy.load(f"{folder}/rows.npy")
theirs = SentenceTransformer(directory, device="cpu").encode(texts, batch_size=16)
assert ours.shape == theirs.shape, (ours.shape, theirs.shape)
difference = float(numpy.abs(ours - theirs).max())
print(f"{len(texts)} texts, {ours.shape[1]} components: largest difference {difference:.2g} (at most {limit:g})")
sys.exit(difference > limit)
