"""What can be said of a base model's folder without loading it, for lists and for requests that are to be refused.

``check_base`` and ``architecture_of`` are the trainer's own (``training.refusals``); no torch, nothing is executed.
"""

from __future__ import annotations

from training.refusals import architecture_of, check_base

__all__ = ["architecture_of", "check_base"]
