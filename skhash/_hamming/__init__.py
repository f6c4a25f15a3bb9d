"""Search of codes by Hamming distance."""
