"""`python -m kubelab.apiserver CONFIG.json`."""

from __future__ import annotations

import sys

from kubelab.apiserver.main import main

sys.exit(main())
