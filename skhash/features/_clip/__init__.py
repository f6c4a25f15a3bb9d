"""CLIPFeaturizer and its parts."""
