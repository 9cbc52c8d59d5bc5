"""Speed of every part, as ratios within one run: against a plain reference and against the machine's limit.

`python -m benchmarks` prints a table with a verdict per row and writes results/bench.json. Nothing here is a
test: a busy machine makes rows miss their target, which the load average in the heading then explains.
"""
