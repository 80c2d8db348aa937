"""The ledger: append-only events of every load, in the Delta table ops.ledger, and the windows they cover.

It is the truth about what has been loaded (ING-1); the published watermark is a copy of what it says.
"""

from lakehouse.ledger.events import Event, append, read
from lakehouse.ledger.windows import Window, covered_prefix, difference, merge, subtract

__all__ = ["Event", "Window", "append", "covered_prefix", "difference", "merge", "read", "subtract"]
