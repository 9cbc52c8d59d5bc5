"""The run folder: what a run leaves, column by column, and how it is written and read."""
