"""Into how many pieces a run cuts its micro-batches since memory ran out, in a file that a later attempt reads.

The trainer notes it when memory runs out in a step; whoever runs the trainer may note it for one that was killed before
it could. Knows nothing of tensors and loads no library::

    halve(output_dir)  # the next attempt takes half as much at once
"""

from __future__ import annotations

import json
import os
from pathlib import Path

__all__ = ["PIECES_FILE", "forget_pieces", "halve", "note_pieces", "read_pieces"]

#: In a run's output folder and not among its checkpoints: those may be cleared away, and this must stay.
PIECES_FILE = "pieces.json"


def read_pieces(folder: Path) -> int:
    """Pieces of a micro-batch as an earlier attempt left them; 1 before memory ran out, or where nobody can tell."""
    try:
        return max(1, int(json.loads((folder / PIECES_FILE).read_text(encoding="utf-8"))["pieces"]))
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        # A file that cannot be read costs one more attempt that runs out.
        return 1


def note_pieces(folder: Path, pieces: int) -> None:
    """Remember for a later attempt."""
    folder.mkdir(parents=True, exist_ok=True)
    # A name of its own: several processes of one run may run out together.
    temporary = folder / f"{PIECES_FILE}.{os.getpid()}.tmp"
    temporary.write_text(json.dumps({"pieces": pieces}), encoding="utf-8")
    os.replace(temporary, folder / PIECES_FILE)


def forget_pieces(folder: Path) -> None:
    """A run that begins anew tries whole micro-batches again."""
    (folder / PIECES_FILE).unlink(missing_ok=True)


def halve(folder: Path) -> int:
    """Twice as many pieces from the next attempt on; returns how many."""
    pieces = 2 * read_pieces(folder)
    note_pieces(folder, pieces)
    return pieces
