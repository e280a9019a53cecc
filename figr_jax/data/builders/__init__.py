"""Data sets that tensorflow-datasets builds without TensorFlow, one folder each."""
