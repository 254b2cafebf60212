"""MetaPortrait: identity-preserving talking head generation with fast personalized adaptation (CVPR 2023)."""
