"""`python -m tests.overload`: what a service accepts of too much, how soon the rest hears 503; in ratios."""
