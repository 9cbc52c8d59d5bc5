"""Figures of the theory study: a module each, with `draw(data)` from its CSV → Figure."""
