"""The one path of computation: request, picture, method, drawing; and chunks made one answer. Knows no datasets."""
