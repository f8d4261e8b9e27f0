"""`python -m kubelab.kubelet CONFIG.json`."""

import sys

from kubelab.kubelet.main import main

sys.exit(main())
