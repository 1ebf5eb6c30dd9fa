"""The command line `relay deploy` around the relay."""
