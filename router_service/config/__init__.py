"""The one YAML file: its models, how it is loaded, and everything that can be wrong with it."""
