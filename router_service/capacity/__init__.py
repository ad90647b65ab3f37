"""How many replicas a load needs: a model of a few lines over constants that `benchmarks.capacity` has measured."""
