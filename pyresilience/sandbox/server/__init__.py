"""Sandboxes over HTTP: an agent that runs code, and a control plane that makes and ends sandboxes."""

from .app import SandboxApp, sandbox_app

__all__ = ["SandboxApp", "sandbox_app"]
