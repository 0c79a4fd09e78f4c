"""For other people's frameworks, one file each; each is loaded when you import it, and uses public names alone."""
