"""Looks a corpus over before anything is trained on it, and says what must be fixed and what is worth a look."""
