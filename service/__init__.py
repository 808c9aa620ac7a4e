"""convscope: a REST service that shows what a convolutional network sees."""
