"""Chat with a base, a checkpoint or an adapter on one loaded base: ``serve`` for a process, ``Chat`` for code.

Knows nothing of HTTP, of retrieval or of who asks. Reads tokens exactly as training does: the same template, the same
encoding. Arrows between the modules run one way: ``server -> engine -> models, sampling, text``.
"""

from training.chat.engine import Chat
from training.chat.server import serve

__all__ = ["Chat", "serve"]
