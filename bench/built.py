# SPDX-License-Identifier: BSD-2-Clause
"""Whether the programs that a benchmark needs are built."""
import os
import sys


def need(build, *programs):
    """Ends this program with a message if one of them is missing in the folder `build`."""
    missing = [name for name in programs if not os.access(build / name, os.X_OK)]
    if missing:
        sys.exit(f"{sys.argv[0]}: not built in {build}: {', '.join(missing)}; run make all benches")
