"""HR_OLD_BIN and HR_BIN_DIR are set by tests/run.sh rolling."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
