"""The model that ships: handwritten digits, its recipe, its training and its judgement."""
