"""The limit: decode and encode with nothing in between.

python benchmarks/transcode.py INPUT OUTPUT [PRESET]
"""

import sys
from pathlib import Path

from streamcolor.sinks.plain import transcode

transcode(Path(sys.argv[1]), Path(sys.argv[2]), options={"crf": "18", "preset": (sys.argv[3:] or ["veryfast"])[0]})
