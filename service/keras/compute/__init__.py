"""What a network answers: compiled passes, gradients, ascent, within bounded memory. Knows the graph, no files."""
