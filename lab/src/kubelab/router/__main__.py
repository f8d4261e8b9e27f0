"""`python -m kubelab.router CONFIG.json`."""

import sys

from kubelab.router.main import main

if __name__ == "__main__":
    sys.exit(main())
