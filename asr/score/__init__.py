"""Word, character and sentence error rates, with their intervals."""
