"""MegaPortraits: One-shot Megapixel Neural Head Avatars (Drobyshev et al., ACM MM 2022)."""
