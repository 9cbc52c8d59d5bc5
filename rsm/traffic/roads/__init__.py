"""Roads, one file each."""
