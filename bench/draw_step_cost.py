#!/usr/bin/env python3
"""Draws what a token of a training step costs, against the length of its sequence and against the batch.

With --measure it first runs train_step for each length at batch 8 and for each batch at length 128, and keeps the
figures in the JSON file; without, it draws from that file. The limit: the products' 2MNK at this machine's sgemm
rate, and the 32 bytes a parameter that AdamW and the norm of the gradients move at its bandwidth (medians of the
rates that were measured after each run).
"""

import argparse
import json
import math
import os
import statistics
import sys

from turns import PRESETS, add_options, parse, run_json

LENGTHS, BATCHES = (64, 128, 256, 512), (1, 2, 4, 8, 16, 32, 64)
LENGTH, BATCH = 128, 8  # the one while the other is varied
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
WIDTH, HEIGHT, TOP, BOTTOM, LEFT, RIGHT = 460, 330, 66, 48, 60, 20  # of a panel, and its margins
INSET = 22  # of the curves within the axes
COLORS = {"products": "#c7d9ee", "update": "#f3cf9f", "limit": "#5b5b5b", "step": "#b3202c"}


def measure(options):
    cases = [(BATCH, length) for length in LENGTHS] + [(batch, LENGTH) for batch in BATCHES if batch != BATCH]
    runs = []
    for batch, length in cases:
        print(f"{options.preset}, {batch} × {length}", file=sys.stderr)
        run = run_json([os.path.join(options.programs, "train_step"), "--json", "--preset", options.preset, "--threads",
                        str(options.threads), "--sequences", str(batch), "--length", str(length)])
        runs.append({"sequences": batch, "length": length, **run})
    return {"preset": options.preset, "threads": options.threads, "runs": runs}


class Panel:
    """A curve over powers of two and, as areas from the bottom, the parts of its limit."""

    def __init__(self, left, title, key, runs, rates, highest):
        self.left, self.title, self.key, self.highest = left, title, key, highest
        self.runs = sorted(runs, key=lambda run: run[key])
        self.first, self.last = (math.log2(self.runs[i][key]) for i in (0, -1))
        self.step = [cost(run) for run in self.runs]
        self.products = [products(run, rates) for run in self.runs]
        self.limit = [limit(run, rates) for run in self.runs]

    def x(self, value):
        share = (math.log2(value) - self.first) / (self.last - self.first)
        return self.left + LEFT + INSET + share * (WIDTH - LEFT - RIGHT - 2 * INSET)

    def y(self, milliseconds):
        return HEIGHT - BOTTOM - milliseconds / self.highest * (HEIGHT - TOP - BOTTOM)

    def points(self, values):
        return [(self.x(run[self.key]), self.y(value)) for run, value in zip(self.runs, values)]

    def draw(self):
        zero = [0] * len(self.runs)
        for low, high, color in ((zero, self.products, "products"), (self.products, self.limit, "update")):
            yield tag("polygon", points=joined(self.points(high) + self.points(low)[::-1]), fill=COLORS[color])
        for tick in ticks(self.highest):
            yield tag("path", d=f"M{self.left + LEFT} {self.y(tick):.1f}h{WIDTH - LEFT - RIGHT}", stroke="#ddd")
            yield text(self.left + LEFT - 8, self.y(tick) + 4, f"{tick:g}", "end")
        for values, color, dashes in ((self.limit, "limit", "5 3"), (self.step, "step", "none")):
            yield tag("polyline", points=joined(self.points(values)), fill="none", stroke=COLORS[color],
                      **{"stroke-width": 2, "stroke-dasharray": dashes})
        for (x, y), run, step, least in zip(self.points(self.step), self.runs, self.step, self.limit):
            yield tag("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r=3.5, fill=COLORS["step"])
            yield text(x, y - 9, f"{100 * least / step:.0f} %", "middle", fill=COLORS["step"], stroke="#fff",
                       **{"stroke-width": 3, "paint-order": "stroke"})
            yield text(x, HEIGHT - BOTTOM + 18, run[self.key], "middle")
        yield text(self.left + LEFT + (WIDTH - LEFT - RIGHT) / 2, HEIGHT - 10, self.title, "middle")


def cost(run):
    return 1e3 * run["seconds_per_step"] / run["tokens"]


def products(run, rates):
    return 1e3 * run["gflop_per_step"] / rates["sgemm_gflops"] / run["tokens"]


def limit(run, rates):
    return products(run, rates) + 1e3 * 32e-9 * run["parameters"] / rates["bandwidth_gbs"] / run["tokens"]


def ticks(highest):
    """Four to ten round numbers up to `highest`."""
    step = 10 ** math.floor(math.log10(highest))
    while highest / step < 4:
        step /= 2
    return [step * i for i in range(int(highest / step) + 1)]


def joined(points):
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def tag(name, content=None, **attributes):
    start = f"<{name} " + " ".join(f'{key}="{value}"' for key, value in attributes.items())
    return f"{start}/>" if content is None else f"{start}>{content}</{name}>"


def text(x, y, content, anchor="start", **how):
    return tag("text", content, x=f"{x:.1f}", y=f"{y:.1f}", **{"fill": "#222", "text-anchor": anchor, **how})


def legend():
    entries = (("step", "measured, and the limit's share of it"), ("limit", "limit"),
               ("products", "products at sgemm's rate"), ("update", "AdamW and norm at the bandwidth"))
    x = LEFT
    for key, words in entries:
        yield tag("rect", x=x, y=36, width=16, height=10, fill=COLORS[key])
        yield text(x + 22, 46, words)
        x += 50 + 6.3 * len(words)


def svg(figures):
    runs = figures["runs"]
    rates = {key: statistics.median(run[key] for run in runs) for key in ("sgemm_gflops", "bandwidth_gbs")}
    highest = 1.12 * max(max(cost(run), limit(run, rates)) for run in runs)
    panels = (Panel(0, f"tokens per sequence, {BATCH} sequences", "length",
                    [run for run in runs if run["sequences"] == BATCH], rates, highest),
              Panel(WIDTH, f"sequences of {LENGTH} tokens", "sequences",
                    [run for run in runs if run["length"] == LENGTH], rates, highest))
    title = (f"{figures['preset']}: milliseconds of a training step per token; {figures['threads']} threads, "
             f"{runs[0]['isa']}, sgemm {rates['sgemm_gflops']:.0f} GFLOP/s, "
             f"bandwidth {rates['bandwidth_gbs']:.0f} GB/s")
    body = [tag("rect", width="100%", height="100%", fill="#fff"), text(LEFT, 22, title), *legend()]
    for panel in panels:
        body += panel.draw()
    return tag("svg", "\n" + "\n".join(body) + "\n", xmlns="http://www.w3.org/2000/svg", width=2 * WIDTH, height=HEIGHT,
               **{"font-family": "sans-serif", "font-size": 12}) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", action="store_true", help="run train_step, some minutes for base")
    parser.add_argument("--preset", choices=PRESETS, default="base")
    parser.add_argument("--json", metavar="FILE", default=os.path.join(ROOT, "docs/step_cost.json"))
    parser.add_argument("--svg", metavar="FILE", default=os.path.join(ROOT, "docs/step_cost.svg"))
    add_options(parser, programs=os.path.join(ROOT, "build/release/bench"))
    options = parse(parser)
    if options.measure:
        figures = measure(options)
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(figures, file, indent=1)
    try:
        with open(options.json, encoding="utf-8") as file:
            picture = svg(json.load(file))
    except OSError as error:
        sys.exit(f"{options.json}: {error.strerror}; --measure makes the figures")
    except (ValueError, KeyError, TypeError, IndexError) as error:
        sys.exit(f"{options.json} doesn't hold the figures of --measure: {error!r}")
    with open(options.svg, "w", encoding="utf-8") as file:
        file.write(picture)


if __name__ == "__main__":
    main()
