"""Methods that show a layer: its activations, its filters, its health, its units over a dataset."""
