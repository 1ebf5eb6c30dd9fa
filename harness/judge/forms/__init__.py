"""Forms of any bytes, which the cases of origins send."""
