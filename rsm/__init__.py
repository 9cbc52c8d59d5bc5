"""rsm: an open reproduction of RSM-MASAC (arXiv:2312.10123)."""

__version__ = "0.2.0"
