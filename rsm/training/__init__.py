"""The paper's loop, the life of a run around it, communication rounds and evaluation."""
