"""Speed of every part, as ratios within one run: against a plain reference and against the machine's limit.

`python -m benchmarks` prints a table with a verdict per row and writes results/bench.json. Nothing here is a
test: on a busy machine rows miss their target; the load average in the heading shows that.
"""
