"""What a file may ask for: names, sizes, work. All is judged before Keras builds it; nothing is changed."""
