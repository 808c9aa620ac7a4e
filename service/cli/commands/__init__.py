"""The commands of the terminal, one file each. What several of them use stands a level higher."""
