"""From the configuration file to Envoy: typed messages, and the files Envoy reads."""
