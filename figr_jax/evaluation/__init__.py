"""Is a model good? Metrics, controls and the protocol that brings them together."""
