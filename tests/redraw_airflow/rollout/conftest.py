"""The model servers, and versions with recorded answers, of the engine's own tests."""

from tests.redraw.rollout.conftest import publish_into, servers

__all__ = ["publish_into", "servers"]
