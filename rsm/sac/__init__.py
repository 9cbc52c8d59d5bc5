"""Soft actor-critic for a stack of N agents that share one tensor of parameters."""
