"""How electrons leave a surface and what a detector sees of them. No files, no fitting."""
