"""The corpora that recipes know: one module each, which says where it comes from and lays out train, dev and test."""
