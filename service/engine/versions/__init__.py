"""Several versions of a model side by side: what is compared, and how it is drawn together. No method by itself."""
