"""ContrastiveFeaturizer and its parts."""
