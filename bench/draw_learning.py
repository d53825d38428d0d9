#!/usr/bin/env python3
"""Draws what runs of bert_pretrain learned: the held-out loss against the steps, and against the time of training.

Each FOLDER that is named is a run's output; of its metrics.jsonl the evaluations are kept in the JSON file, under a
title and a label. Runs of one title share two panels. Without folders, what is in the JSON file is drawn.
  bench/draw_learning.py "mini on movie reviews:AdamW=adamw_run" "mini on movie reviews:Muon=muon_run"
"""

import argparse
import json
import math
import os
import re
import sys

from draw_step_cost import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, joined, tag, text, ticks

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
COLORS = ("#b3202c", "#2a5d9f", "#3d8a4e", "#b8860b", "#6b4c9a")


def evaluations(folder):
    """[step, seconds of training, held-out loss] of each evaluation but that before the first step."""
    seconds, rows = {}, []
    with open(os.path.join(folder, "metrics.jsonl"), encoding="utf-8") as lines:
        for line in map(json.loads, lines):
            if line["kind"] == "training":
                seconds[line["step"]] = line["seconds"]
            elif line["kind"] == "evaluation" and line["step"] in seconds:
                rows.append([line["step"], round(seconds[line["step"]], 1), round(line["held_out"]["loss"], 4)])
    if not rows:
        sys.exit(f"draw_learning: {folder} has no evaluations")
    return rows


def panel(left, top, title, column, curves):
    """One of two: column 0 is the steps, 1 the seconds."""
    last = max(row[column] for rows in curves.values() for row in rows)
    losses = [row[2] for rows in curves.values() for row in rows]
    low, high = min(losses), max(losses)
    low, high = low - 0.05 * (high - low), high + 0.05 * (high - low)

    def place(row):
        return (left + LEFT + row[column] / last * (WIDTH - LEFT - RIGHT),
                top + HEIGHT - BOTTOM - (row[2] - low) / (high - low) * (HEIGHT - TOP - BOTTOM))

    step = ticks(high - low)[1]
    first = math.ceil(low / step) * step
    for tick in ticks(high - first):
        y = place([0, 0, first + tick])[1]
        yield tag("path", d=f"M{left + LEFT} {y:.1f}h{WIDTH - LEFT - RIGHT}", stroke="#ddd")
        yield text(left + LEFT - 8, y + 4, f"{first + tick:g}", "end")
    for tick in ticks(last):
        yield text(place([tick, tick, low])[0], top + HEIGHT - BOTTOM + 18, f"{tick:g}", "middle")
    for color, rows in zip(COLORS, curves.values()):
        yield tag("polyline", points=joined([place(row) for row in rows]), fill="none", stroke=color, **{"stroke-width": 2})
        x, y = place(rows[-1])
        yield tag("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r=3.5, fill=color)
    yield text(left + LEFT + (WIDTH - LEFT - RIGHT) / 2, top + HEIGHT - 10, title, "middle")


def svg(figures):
    body = [tag("rect", width="100%", height="100%", fill="#fff")]
    for number, (title, curves) in enumerate(figures.items()):
        top, x = number * HEIGHT, LEFT
        body.append(text(LEFT, top + 22, f"{title}: held-out loss"))
        for color, label in zip(COLORS, curves):
            body += [tag("rect", x=x, y=top + 36, width=16, height=10, fill=color), text(x + 22, top + 46, label)]
            x += 50 + 6.3 * len(label)
        body += panel(0, top, "steps", 0, curves)
        body += panel(WIDTH, top, "seconds of training", 1, curves)
    return tag("svg", "\n" + "\n".join(body) + "\n", xmlns="http://www.w3.org/2000/svg", width=2 * WIDTH,
               height=HEIGHT * len(figures), **{"font-family": "sans-serif", "font-size": 12}) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", metavar="TITLE:LABEL=FOLDER")
    parser.add_argument("--json", metavar="FILE", default=os.path.join(ROOT, "docs", "learning.json"))
    parser.add_argument("--svg", metavar="FILE", default=os.path.join(ROOT, "docs", "learning.svg"))
    options = parser.parse_args()
    figures = {}
    if os.path.exists(options.json):
        with open(options.json, encoding="utf-8") as file:
            figures = json.load(file)
    for run in options.runs:
        name, equals, folder = run.partition("=")
        title, colon, label = name.partition(":")
        if not equals or not colon:
            parser.error(f"expected TITLE:LABEL=FOLDER, got {run!r}")
        figures.setdefault(title, {})[label] = evaluations(folder)
    if not figures:
        parser.error("there is nothing to draw: name runs")
    with open(options.json, "w", encoding="utf-8") as file:
        rows_apart = json.dumps(figures, ensure_ascii=False, indent=1)
        file.write(re.sub(r"\[\s+([^][]+?)\s+\]", lambda row: "[" + " ".join(row[1].split()) + "]", rows_apart) + "\n")
    with open(options.svg, "w", encoding="utf-8") as file:
        file.write(svg(figures))


if __name__ == "__main__":
    main()
