"""The words of the house: values and Protocols, no I/O. Every other room speaks them; this one knows no other."""
