"""An LLM router that lives inside Envoy: which model, which upstream, and why."""

__version__ = "0.1.0"
