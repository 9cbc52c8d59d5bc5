"""`python -m rsm` is the command `rsm`."""

import sys

from rsm.cli.parser import main

if __name__ == "__main__":
    sys.exit(main())
