"""Pronunciations: dictionaries, and a model of our own for the words that they lack."""
