"""`python -m router_service`, which is how worker processes are started."""

import sys

from router_service.cli import main

sys.exit(main())
