"""An origin as the target: a program that takes deploys and fans them out."""
