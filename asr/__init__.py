"""Train your own speech recogniser: features, a bidirectional LSTM, CTC, words."""

__version__ = "0.1.0"
