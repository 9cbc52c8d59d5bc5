"""The run folder: its files and columns, and how they are written and read."""
