"""The command line of `rsm`."""
