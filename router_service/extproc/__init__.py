"""The Envoy external processor: one stream is one request. `stream` decides, `wire` translates, `servicer` awaits."""
