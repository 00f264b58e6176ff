import sys
from pathlib import Path

# The helpers of one test file are used by others.
sys.path.insert(0, str(Path(__file__).parent))
