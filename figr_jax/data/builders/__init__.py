"""Data sets that tensorflow-datasets builds without TensorFlow, a folder each."""
