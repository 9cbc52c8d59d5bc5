"""The fast products, gradients and Adam of N stacked agents."""
