"""Where models come from: folders, applications of Keras, files of weights. What is loaded is decided elsewhere."""
