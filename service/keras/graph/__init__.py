"""What a network is, without running it: layers, head, receptive fields, parts of it. Nothing is compiled here."""
