"""`python -m kubelab.olm CONFIG.json`."""

import sys

from kubelab.olm.main import main

sys.exit(main())
