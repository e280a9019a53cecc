"""Evaluation: metrics, controls, and reports that bring them together.

For each held-out class and several supports, the model adapts and generates images
(`samples`), which are compared with other real images of the class (`evaluators`).
Controls that use no model are in the same table.
"""
